"""The methods that are compared: each makes a held-out clip again from its first frame and what else it may know."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.background import composite
from m2iv_robot.benchmark.generation.cases import Case
from m2iv_robot.benchmark.generation.config import BASELINES, OURS, PARTS, GenerationBenchmarkConfig
from m2iv_robot.exemplar import Exemplar, cut_and_paste
from m2iv_robot.generation import SourceScene, WantedVideo, generate_frames
from m2iv_robot.metrics.frame import moving_region
from m2iv_robot.models.checkpoint import WEIGHTS_FOLDER, load_video, weights_hash
from m2iv_robot.models.video import KnownScene, VideoModel
from m2iv_robot.types import MaskTrajectory

REAL = "real"  # the clip itself: what the segmenter alone gets wrong
LABELS = {
    REAL: "the real frames (what measuring itself costs)",
    "repeat_first": "first frame repeated",
    "plate": "plate alone",
    "cut_and_paste": "object and nearest arm cut and pasted, no network",
    "no_masks": "network, first frame only (DynamiCrafter's condition)",
    "actor_mask": "network, first frame and actor's mask (CosHand's condition)",
    "paper": "network, first frame and masks (Mask2IV)",
    "ours": "ours: all conditions, composited",
    "ours_without_plate": "ours, the plate withheld",
    "ours_without_exemplar": "ours, the exemplar withheld",
    "ours_uncomposited": "ours, the network's frames as they are",
    "guided": "both stages, along a plan",
    "unguided": "both stages, from first frame and goal alone",
}
WITHHELD = {  # what a row's network is not told; networks trained for a row ignore it anyway
    "no_masks": ("actor", "object", "plate", "exemplar"),
    "actor_mask": ("object", "plate", "exemplar"),
    "paper": ("plate", "exemplar"),
    "ours_without_plate": ("plate",),
    "ours_without_exemplar": ("exemplar",),
    "ours_uncomposited": (),
}
PASTING_SOURCES = ("exemplar.py", "background.py", "masks.py", "benchmark/generation/rows.py")
NETWORK_SOURCES = (*PASTING_SOURCES, "diffusion.py", "generation", "models")
EDGE_PX = 1.5
LIBRARY = Path(__file__).resolve().parents[2]

Generate = Callable[[Case, int], UInt8[Tensor, "t 3 h w"]]


@dataclass(frozen=True)
class Row:
    """A method; `version` changes whenever its code or weights do."""

    name: str
    what: str
    version: str
    generate: Generate  # case, seed -> frames


def build_rows(config: GenerationBenchmarkConfig) -> tuple[list[Row], list[dict]]:
    """The rows that can be measured, the real frames first, and which cannot and why."""
    rows, skipped = [Row(REAL, LABELS[REAL], "real", lambda case, seed: case.frames)], []
    baselines = dict(zip(BASELINES, (repeat_first, plate_alone, pasted), strict=True))
    for name in (name for name in LABELS if name in config.rows):
        if name in baselines:
            rows.append(Row(name, LABELS[name], code_hash(PASTING_SOURCES), baselines[name]))
            continue
        path = weights_of(name, config)
        if path is None or not path.is_file():
            skipped.append({"row": name, "why": "no weights given" if path is None else f"{path} is not there"})
            continue
        method = partial(network, name, load_video(str(path), torch.device(config.device)))
        borrowed = getattr(config, f"weights_{name}", "") == OURS
        what = f"{LABELS[name]}; our weights, all else withheld" if borrowed else LABELS[name]
        rows.append(Row(name, what, f"{code_hash(NETWORK_SOURCES)}-{weights_hash(path)}", method))
    return rows, skipped


def weights_of(name: str, config: GenerationBenchmarkConfig) -> Path | None:
    """The weights file of a network's row; None where the configuration names none."""
    given = OURS if name in PARTS or name == "ours" else getattr(config, f"weights_{name}")
    if given == OURS:
        return shipped(config.weights_ours, "video")
    return Path(given) if given else None


def shipped(weights: str, stage: str) -> Path:
    """The file that `weights` names; the one that ships with the package where it is empty."""
    return Path(weights) if weights else WEIGHTS_FOLDER / f"{stage}.safetensors"


def code_hash(sources: tuple[str, ...] = NETWORK_SOURCES) -> str:
    """Short hash of the code that makes frames."""
    digest = hashlib.sha256()
    for source in sources:
        path = LIBRARY / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def with_first(case: Case, frames: UInt8[Tensor, "t 3 h w"]) -> UInt8[Tensor, "t 3 h w"]:
    """The clip with the real first frame, which every method is given."""
    return torch.cat([case.frames[:1], frames[1:]])


def repeat_first(case: Case, seed: int) -> UInt8[Tensor, "t 3 h w"]:
    """Nothing moves."""
    return case.frames[:1].expand_as(case.frames).contiguous()


def plate_alone(case: Case, seed: int) -> UInt8[Tensor, "t 3 h w"]:
    """Neither actor nor object."""
    return with_first(case, case.plate.image[None].expand_as(case.frames))


def pasted(case: Case, seed: int) -> UInt8[Tensor, "t 3 h w"]:
    """Real pixels of other moments, warped onto the masks, on the plate."""
    return with_first(case, cut_and_paste(case.plate, case.exemplar))


def network(name: str, model: VideoModel, case: Case, seed: int) -> UInt8[Tensor, "t 3 h w"]:
    """A video model's frames as they are, or for our rows composited."""
    if name in ("ours", "ours_without_exemplar"):
        return ours(model, case, case.exemplar if name == "ours" else without(case.exemplar), seed)
    device = next(model.parameters()).device
    known = on_device(known_scene(case, name), device)
    generated = model.sample(known, torch.Generator(device).manual_seed(seed))[0]
    frames = with_first(case, (255 * generated).round().clamp(0, 255).to(torch.uint8).cpu())
    return pasted_into_first(case, frames) if name == "ours_without_plate" else frames


def ours(model: VideoModel, case: Case, exemplar: Exemplar, seed: int) -> UInt8[Tensor, "t 3 h w"]:
    """As episodes are generated; of the clip's frames only the first is handed over."""
    given = torch.zeros(len(case.frames), dtype=torch.bool)
    given[0] = True
    frames = torch.where(given[:, None, None, None], case.frames, 0)
    first = MaskTrajectory(case.masks.actor[:1], case.masks.object[:1], case.masks.confidence[:1])
    scene = SourceScene(case.frames[:1], first, case.plate)
    return generate_frames(model, scene, WantedVideo(case.frames[0], case.masks, frames, given, None, exemplar), seed)


def without(exemplar: Exemplar) -> Exemplar:
    """An exemplar that knows nothing."""
    return replace(exemplar, image=torch.zeros_like(exemplar.image), known=torch.zeros_like(exemplar.known))


def known_scene(case: Case, name: str) -> KnownScene:
    """What a row's network is told of a clip: of its frames the first alone; what is withheld is empty or unknown."""
    frames = torch.zeros_like(case.frames, dtype=torch.float32)
    frames[0] = case.frames[0].float() / 255
    given = torch.zeros(len(frames), dtype=torch.bool)
    given[0] = True
    told = {part: part not in WITHHELD[name] for part in ("actor", "object", "plate", "exemplar")}
    exemplar = case.exemplar if told["exemplar"] else without(case.exemplar)
    plate_known = case.plate.known & told["plate"]
    return KnownScene(
        first_frame=frames[:1],
        actor=case.masks.actor[None] & told["actor"],
        object=case.masks.object[None] & told["object"],
        frames=frames[None],
        frames_given=given[None],
        plate=case.plate.image[None].float() / 255 * plate_known,
        plate_known=plate_known[None],
        exemplar=exemplar.image[None].float() / 255,
        exemplar_known=exemplar.known[None],
    )


def on_device(known: KnownScene, device: torch.device) -> KnownScene:
    """The same on the network's device."""
    return KnownScene(**{field.name: getattr(known, field.name).to(device) for field in fields(known)})


def pasted_into_first(case: Case, frames: UInt8[Tensor, "t 3 h w"]) -> UInt8[Tensor, "t 3 h w"]:
    """The region of actor and object, now and at first, pasted into the first frame with a soft edge."""
    region = moving_region(case.masks.actor[None], case.masks.object[None])[0]
    return composite(repeat_first(case, 0), frames, region, EDGE_PX)
