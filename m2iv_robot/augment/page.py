"""The page that a person checks: what was made, side by side with its source, and how to train on it."""

from pathlib import Path

from m2iv_robot.augment.films import film_path, load_film
from m2iv_robot.augment.preview import duration
from m2iv_robot.augment.records import AugmentReport, AugmentTask, Outcome
from m2iv_robot.report import MASK_LEGEND, KeyValues, Section, Table, Text, Video, Videos, write_page

PAGE_NAME = "augment.html"
VERDICTS = {"written": "good", "rejected": "bad", "refused": "check"}
WIDTH_PX = 900


def write_augment_page(task: AugmentTask, report: AugmentReport) -> Path:
    """Write the page into the report's folder.

    Raises:
        WriteError: it cannot be written there.
    """
    sections: list[Section] = [_summary(task, report)]
    if report.failures:
        rows = tuple((str(index), type(error).__name__, str(error)) for index, error in report.failures)
        sections.append(Table("Episodes that nothing can be made from", ("episode", "kind", "what to do"), rows))
    films = _films(task, report)
    if films:
        note = (
            "left: the source at the same moment; middle: the new episode; right: its masks; below: cameras on the tool"
        )
        sections.append(Videos("New episodes", films, WIDTH_PX, MASK_LEGEND, note))
    sections.append(_table(report))
    if report.written and task.config.labels != "video_only":
        sections.append(Text("Train on it", "\n\n".join(training_lines(report.root))))
    subtitle = f"{task.annotation.camera}, {len(report.written)} new episodes"
    title = f"New episodes from {task.annotation.dataset.name}"
    return write_page(task.report_folder / PAGE_NAME, title, sections, subtitle)


def training_lines(root: Path) -> tuple[str, ...]:
    """Commands that train a policy on the dataset: offline and without an account, then with both."""
    name = f"local/{root.name}"
    common = (
        f"lerobot-train --dataset.repo_id={name} --dataset.root={root} --policy.type=act "
        f"--output_dir=outputs/train/act_{root.name} --batch_size=8 --steps=100000"
    )
    offline = "--policy.push_to_hub=false --wandb.enable=false"
    return (
        "Nothing leaves this machine, and nothing is downloaded (the image encoder starts without ImageNet weights):\n"
        f"HF_HUB_OFFLINE=1 {common} {offline} --policy.pretrained_backbone_weights=null",
        f"The same with ImageNet weights, which torchvision downloads once:\n{common} {offline}",
        f"With Weights & Biases, and the policy on the hub:\n"
        f"{common} --wandb.enable=true --policy.repo_id=USER/act_{root.name}",
        "On a machine without a GPU add --policy.device=cpu.",
    )


def summary_rows(task: AugmentTask, report: AugmentReport) -> tuple[tuple[str, str], ...]:
    """What the run made, in words and numbers."""
    made = [outcome for outcome in report.outcomes if outcome.verdict != "refused"]
    seconds = sum(outcome.seconds for outcome in made)
    frames = sum(outcome.frames for outcome in made)
    counts = {
        verdict: sum(outcome.verdict == verdict for outcome in report.outcomes) for verdict in ("rejected", "refused")
    }
    own = sum(outcome.kept_frames for outcome in report.written)
    total = sum(outcome.frames for outcome in report.written)
    dataset = "none: labels=video_only" if task.config.labels == "video_only" else str(report.root)
    return (
        ("wanted", str(report.wanted)),
        ("written", str(len(report.written))),
        ("rejected by the quality gate", str(counts["rejected"]) if task.gate is not None else "no gate was used"),
        ("refused before any pixel was made", str(counts["refused"])),
        ("episodes that failed", str(len(report.failures))),
        ("frames written", f"{total}, {own} of them the source's own"),
        ("time", f"{duration(seconds)}, {frames / seconds:.1f} frames a second" if seconds else "none"),
        ("masks, renderer", f"{task.config.masks}, {task.config.renderer}"),
        ("dataset", dataset),
    )


def _summary(task: AugmentTask, report: AugmentReport) -> KeyValues:
    rows = (*summary_rows(task, report), *(("note", note) for note in report.notes))
    return KeyValues("Summary", rows, f"moved: the object's {task.placement.kind}")


def _films(task: AugmentTask, report: AugmentReport) -> tuple[tuple[Video, ...], ...]:
    """Written ones first, then rejected ones, each a row."""
    order = sorted(report.outcomes, key=lambda outcome: outcome.verdict != "written")
    fps, rows = task.annotation.dataset.fps, []
    for outcome in order:
        path = film_path(task.report_folder, outcome.key)
        if outcome.verdict == "refused" or not path.is_file() or len(rows) == task.config.page_videos:
            continue
        frames = load_film(path, outcome.frames, fps)
        caption = f"from episode {outcome.source_episode}: {outcome.verdict}"
        rows.append((Video(frames, fps, caption, VERDICTS[outcome.verdict], _detail(outcome)),))
    return tuple(rows)


def _detail(outcome: Outcome) -> str:
    own = f"{outcome.frames} frames, {outcome.kept_frames} of them the source's own"
    bent = f"arm bent by {outcome.bend_px:.0f} px at most" if outcome.bend_px else ""
    return "; ".join(part for part in (own, bent, outcome.reason) if part)


def _table(report: AugmentReport) -> Table:
    rows = tuple(
        (
            str(outcome.source_episode),
            VERDICTS[outcome.verdict],
            outcome.verdict,
            str(outcome.frames),
            f"{outcome.seconds:.0f}",
            outcome.reason,
        )
        for outcome in report.outcomes
    )
    return Table("All plans", ("source episode", "verdict", "what became of it", "frames", "seconds", "why"), rows)
