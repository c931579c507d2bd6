"""Contact sheets that a person looks at: each row's clips under the real ones, and one clip of all rows."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.benchmark.generation.cache import Result
from m2iv_robot.benchmark.generation.rows import LABELS, REAL
from m2iv_robot.benchmark.generation.summary import LEAD, SetResults, ranked

CAPTION_PX = 18
GAP_PX = 3


def write_sheets(folder: Path, found: SetResults, count: int) -> list[Path]:
    """A sheet per row: `count` clips, half of them its worst; and one of all rows where they have the same clips."""
    folder = folder / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    fixed = evenly(list(found.rows.get(REAL, {})), count // 2)
    for row, results in found.rows.items():
        if row == REAL:
            continue
        chosen = fixed or evenly(list(results), count // 2)
        chosen = [*chosen, *(clip for clip in ranked(results) if clip not in chosen)][:count]
        shown = (REAL, row) if fixed else (row,)
        paths.append(
            write(folder / f"{found.name}_{row}.png", [strip(found, name, c) for c in chosen for name in shown])
        )
    if fixed:
        together = [strip(found, row, clip) for clip in fixed for row in found.rows]
        paths.append(write(folder / f"{found.name}_all_rows.png", together))
    return paths


def evenly(names: list[str], count: int) -> list[str]:
    """`count` names spread over the list."""
    if not names:
        return []
    return [names[index] for index in sorted({round(i) for i in np.linspace(0, len(names) - 1, count)})]


def strip(found: SetResults, row: str, clip: str) -> UInt8[Tensor, "3 h w"]:
    """One clip's frames of one row under a line that says what they are."""
    result: Result = found.rows[row][clip]
    text = f"{clip}: {LABELS.get(row, row)}"
    shown = {LEAD: "LPIPS {:.3f}", "psnr_region": "PSNR {:.1f} dB", "place_error_percent": "place {:.0f} % off"}
    texts = [form.format(result.scores[name]) for name, form in shown.items() if name in result.scores]
    text = "; ".join([text, *texts])
    caption = np.full((CAPTION_PX, result.strip.shape[2], 3), 255, np.uint8)
    cv2.putText(caption, text, (4, CAPTION_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return torch.cat([torch.from_numpy(caption).permute(2, 0, 1), result.strip], dim=1)


def write(path: Path, strips: list[UInt8[Tensor, "3 _ _"]]) -> Path:
    """Strips below each other as a PNG."""
    width = max(part.shape[2] for part in strips)
    height = sum(part.shape[1] + GAP_PX for part in strips)
    sheet, top = np.full((height, width, 3), 255, np.uint8), 0
    for part in strips:
        sheet[top : top + part.shape[1], : part.shape[2]] = part.permute(1, 2, 0).numpy()
        top += part.shape[1] + GAP_PX
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return path
