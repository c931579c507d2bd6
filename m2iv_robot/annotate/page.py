"""The page of overlays on which a person checks all episodes in seconds."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.annotate.records import AnnotationReport, AnnotationTask, EpisodeAnnotation, PoseGroup
from m2iv_robot.background import spread
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.report import MASK_LEGEND, Image, Images, KeyValues, Section, Table, contact_sheet, overlay, write_page
from m2iv_robot.types import MaskTrajectory

FRAMES_SHOWN = 6
SHEET_WIDTH_PX = 900
UNKNOWN_RGB = (255, 0, 255)


def write_annotation_page(path: Path, task: AnnotationTask, report: AnnotationReport) -> Path:
    """Write the page: failures first, then what was found, the plates, and frames of each episode, worst first.

    Raises:
        WriteError: it cannot be written there.
        DatasetError: an episode can no longer be read.
    """
    order = sorted(report.annotations, key=lambda annotation: annotation.confidence)
    sections: list[Section] = [summary(task, report)]
    if report.failures:
        rows = tuple((str(index), type(error).__name__, str(error)) for index, error in report.failures)
        sections.append(Table("Episodes that failed", ("episode", "kind", "what to do"), rows))
    sections.append(found_table(report))
    if any(pose.plate is not None for pose in report.poses):
        sections.append(plates_section(report.poses))
    sections.append(
        Images("Episodes, the least sure first", tuple(sheet(task, entry) for entry in order), 620, MASK_LEGEND)
    )
    return write_page(path, f"Masks of {task.dataset.name}", sections, f"{task.camera}, {len(order)} episodes")


def summary(task: AnnotationTask, report: AnnotationReport) -> KeyValues:
    """How many episodes, how sure."""
    verdicts = [annotation.verdict for annotation in report.annotations]
    rows = (
        ("episodes annotated", str(len(report.annotations))),
        ("good, to check, bad", ", ".join(str(verdicts.count(verdict)) for verdict in ("good", "check", "bad"))),
        ("failed", str(len(report.failures))),
        ("camera poses", str(len(report.poses))),
        ("corrected frames kept", str(sum(annotation.edited_frames for annotation in report.annotations))),
        ("masks", str(task.store.root)),
    )
    return KeyValues("Summary", rows, "To correct a mask, paint its PNG in the masks' folder; it is kept from then on.")


def found_table(report: AnnotationReport) -> Table:
    """One row per episode."""
    rows = []
    for entry in report.annotations:
        held = ", ".join(f"{phase.grasp}-{phase.release}" for phase in entry.phases) or "unknown"
        rows.append(
            (
                str(entry.index),
                entry.verdict,
                f"{entry.confidence:.2f}",
                place(entry.start_px),
                place(entry.goal_px),
                f"{entry.area_px:.0f}",
                held,
                entry.plate,
            )
        )
    header = ("episode", "verdict", "confidence", "object starts at", "ends at", "size px", "held in frames", "plate")
    return Table("What was found", header, tuple(rows))


def place(pixel: tuple[float, float] | None) -> str:
    """A pixel as text."""
    return "not seen" if pixel is None else f"({pixel[0]:.0f}, {pixel[1]:.0f})"


def plates_section(poses: tuple[PoseGroup, ...]) -> Images:
    """The plates; what no frame ever showed is magenta."""
    images = []
    for pose in poses:
        if pose.plate is None:
            continue
        colour = torch.tensor(UNKNOWN_RGB, dtype=torch.uint8)[:, None, None]
        shown = torch.where(pose.plate.known[None], pose.plate.image, colour)
        unknown = float((~pose.plate.known).float().mean())
        episodes = ", ".join(map(str, pose.episodes))
        detail = f"episodes {episodes}; never seen: {unknown:.1%}"
        if pose.changed:
            detail += f"; other things stand about in {', '.join(map(str, pose.changed))}"
        images.append(Image(shown, pose.name, detail=detail))
    return Images("Plates: the scene without robot and object (never seen: magenta)", tuple(images))


def sheet(task: AnnotationTask, entry: EpisodeAnnotation) -> Image:
    """Some frames of an episode with masks drawn over them."""
    episode = read_episode(task.dataset, entry.index, task.camera)
    chosen = frames_to_show(entry)
    masks = MaskTrajectory(entry.masks.actor[chosen], entry.masks.object[chosen], entry.masks.confidence[chosen])
    drawn = overlay(episode.frames[chosen], masks)
    detail = f"frames {', '.join(map(str, chosen))}; confidence {entry.confidence:.2f}"
    pixels = shrink(contact_sheet(drawn, columns=3), SHEET_WIDTH_PX)
    return Image(pixels, f"episode {entry.index} {episode.task}".strip(), entry.verdict, detail)


def frames_to_show(entry: EpisodeAnnotation) -> list[int]:
    """The first and last frame and some between, the grasp and the release among them where they are known."""
    chosen = set(spread(entry.length, FRAMES_SHOWN))
    for event in [frame for phase in entry.phases[:1] for frame in (phase.grasp, phase.release)]:
        event = min(event, entry.length - 1)
        inner = [frame for frame in chosen if 0 < frame < entry.length - 1]
        if inner and event not in chosen:
            chosen.remove(min(inner, key=lambda frame: abs(frame - event)))
            chosen.add(event)
    return sorted(chosen)


def shrink(image: UInt8[Tensor, "3 h w"], width_px: int) -> UInt8[Tensor, "3 _ _"]:
    """The image no wider than `width_px`."""
    height, width = image.shape[1:]
    if width <= width_px:
        return image
    size = (round(height * width_px / width), width_px)
    small = torch.nn.functional.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    return small.round().clamp(0, 255).to(torch.uint8)
