"""How well each segmenter finds actor and object: simulated episodes with exact masks, real frames annotated by hand.

Every episode goes through the real pipeline whole: a first segmentation without a plate, the plate from it, and a
second one with that plate. The annotated frames are scored where the annotator was sure; nothing is trained on them.
"""

import csv
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.background import build_plate
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.simulation import SimulationConfig, simulate_episode
from m2iv_robot.errors import ConfigError, DatasetError, KinematicsError, M2IVError
from m2iv_robot.kinematics import RobotConfig, build_kinematics, find_phases
from m2iv_robot.masks import from_labels, iou
from m2iv_robot.segmentation import Prompt, Segmenter, load_segmenter, parse_segmentation
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory

DATA_VARIABLE = "M2IV_DATA"
RIGHT_OBJECT_IOU = 0.1  # of a frame, above which the masks are about the same thing
HELD_OUT_SCENE = 900_000  # first scene seed of the simulated episodes; training uses others


@dataclass(frozen=True)
class MasksConfig:
    """configs/benchmark/masks.yaml: what is measured."""

    data: str = ""  # folder with hand_masks and its datasets; empty: $M2IV_DATA, else ../shared/data
    segmenters: list[str] = field(default_factory=lambda: ["learned", "motion"])
    prompts: list[str] = field(default_factory=lambda: ["none", "click"])
    weights: str = ""  # of the learned segmenter; empty: those that ship
    simulated_robots: list[str] = field(default_factory=lambda: ["so101", "panda"])
    simulated_episodes: int = 3  # of each robot
    simulated_frames: int = 12  # scored of each episode, evenly spread
    real: bool = True
    seed: int = 0
    pictures: str = ""  # folder for overlays of the real frames; empty: none

    def __post_init__(self) -> None:
        if not set(self.prompts) <= {"none", "click"} or not self.prompts:
            raise ConfigError(f"benchmark.masks.prompts: none and click are known, got {', '.join(self.prompts)}")
        if self.simulated_episodes < 0 or self.simulated_frames < 1:
            raise ConfigError("benchmark.masks: simulated_episodes must be at least 0, simulated_frames at least 1")


@dataclass(frozen=True)
class Case:
    """An episode with the frames of it whose true masks are known."""

    name: str
    kind: str  # simulated or real
    episode: Episode
    phases: tuple[EpisodePhases, ...]
    frames: tuple[int, ...]
    actor: Bool[Tensor, "n h w"]
    object: Bool[Tensor, "n h w"]
    ignored: Bool[Tensor, "n h w"]


def run(config: MasksConfig) -> dict:
    """Scores of every segmenter with every kind of prompt, and the frames that they come from."""
    cases = [*simulated_cases(config), *(real_cases(config) if config.real else [])]
    summary, rows, failures = [], [], []
    for name in config.segmenters:
        node = {"name": name, **({"weights": config.weights} if name == "learned" else {})}
        segmenter = load_segmenter(parse_segmentation(node))
        for prompt in config.prompts:
            scored = []
            for case in cases:
                try:
                    masks = annotate(segmenter, case, click_on(case) if prompt == "click" else None)
                    scored += score(case, masks)
                    if config.pictures and case.kind == "real":
                        draw(Path(config.pictures) / f"{name}_{prompt}", case, masks)
                except M2IVError as error:
                    failures.append({"segmenter": name, "prompt": prompt, "episode": case.name, "error": str(error)})
                    scored += score(case, empty_masks(case))
            summary += [summarize(scored, name, prompt, kind) for kind in ("simulated", "real") if has(scored, kind)]
            rows += [{"segmenter": name, "prompt": prompt, **row} for row in scored]
    worst = sorted(rows, key=lambda row: row["object_iou"] if row["object_iou"] is not None else 1.0)[:10]
    return {"summary": summary, "worst_objects": worst, "failures": failures, "frames": rows}


def annotate(segmenter: Segmenter, case: Case, prompt: Prompt | None) -> MaskTrajectory:
    """Masks of an episode as the annotation pipeline makes them: rough masks, plate, masks."""
    rough = segmenter.segment(case.episode, None, prompt, case.phases)
    plate = build_plate([case.episode.frames], [rough])
    return segmenter.segment(case.episode, plate, prompt, case.phases)


def empty_masks(case: Case) -> MaskTrajectory:
    """What a segmenter that gave up has found."""
    nothing = torch.zeros(case.episode.length, *case.episode.frames.shape[-2:], dtype=torch.bool)
    return MaskTrajectory(nothing, nothing, torch.zeros(case.episode.length))


def click_on(case: Case) -> Prompt:
    """A click on the middle of the object in the first scored frame that shows enough of it."""
    areas = case.object.sum((1, 2))
    index = int((areas >= 0.5 * areas.max()).to(torch.uint8).argmax())
    depth = cv2.distanceTransform(case.object[index].numpy().astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Prompt(frame=case.frames[index], click=(float(x), float(y)))


def score(case: Case, masks: MaskTrajectory) -> list[dict]:
    """IoU of each scored frame; None where neither the truth nor the prediction has a pixel."""
    rows = []
    for row, frame in enumerate(case.frames):
        sure = ~case.ignored[row]
        values = {}
        for name in ("actor", "object"):
            truth, guess = getattr(case, name)[row] & sure, getattr(masks, name)[frame] & sure
            values[f"{name}_iou"] = (
                round(float(iou(truth[None], guess[None])[0]), 3) if truth.any() or guess.any() else None
            )
        rows.append(
            {
                "kind": case.kind,
                "episode": case.name,
                "frame": frame,
                **values,
                "confidence": round(float(masks.confidence[frame]), 3),
            }
        )
    return rows


def has(rows: list[dict], kind: str) -> bool:
    """Whether any row is of this kind."""
    return any(row["kind"] == kind for row in rows)


def summarize(rows: list[dict], segmenter: str, prompt: str, kind: str) -> dict:
    """Means over frames, and the share of episodes in which the right thing was taken for the object.

    Right: above `RIGHT_OBJECT_IOU` in at least half of the episode's scored frames.
    """
    rows = [row for row in rows if row["kind"] == kind]
    actor = [row["actor_iou"] for row in rows if row["actor_iou"] is not None]
    objects = [row["object_iou"] for row in rows if row["object_iou"] is not None]
    episodes = {row["episode"] for row in rows}
    right = 0
    for name in episodes:
        values = [row["object_iou"] for row in rows if row["episode"] == name and row["object_iou"] is not None]
        right += int(bool(values) and float(np.median(values)) > RIGHT_OBJECT_IOU)
    return {
        "segmenter": segmenter,
        "prompt": prompt,
        "frames": kind,
        "count": len(rows),
        "actor_iou": round(float(np.mean(actor)), 3),
        "object_iou": round(float(np.mean(objects)), 3),
        "right_object": round(right / len(episodes), 3),
        "episodes": len(episodes),
        "worst_actor": round(float(np.min(actor)), 3),
        "worst_object": round(float(np.min(objects)), 3),
    }


def simulated_cases(config: MasksConfig) -> list[Case]:
    """Episodes of scenes that no training run has seen."""
    cases = []
    for robot in config.simulated_robots:
        for index in range(config.simulated_episodes):
            seed = HELD_OUT_SCENE + 1000 * config.seed + index
            simulated = simulate_episode(replace(simulation_of(robot), scene_seed=seed), seed)
            episode = simulated.episode
            frames = (
                np.linspace(0, episode.length - 1, min(config.simulated_frames, episode.length)).round().astype(int)
            )
            phases = (EpisodePhases(simulated.grasp_frame, simulated.release_frame),)
            actor, object_ = simulated.masks.actor[frames], simulated.masks.object[frames]
            cases.append(
                Case(
                    f"{robot}_{index}",
                    "simulated",
                    episode,
                    phases,
                    tuple(frames.tolist()),
                    actor,
                    object_,
                    actor & False,
                )
            )
    return cases


def simulation_of(robot: str) -> SimulationConfig:
    """The configuration that ships for a simulated robot."""
    return replace(preset(SimulationConfig, "simulation", robot), wrist_width=0, fps=10)


def data_folder(config: MasksConfig) -> Path:
    """The folder with the real data.

    Raises:
        DatasetError: it has no annotated frames.
    """
    folder = Path(
        config.data or os.environ.get(DATA_VARIABLE, "") or Path(__file__).resolve().parents[3] / "shared" / "data"
    )
    if not (folder / "hand_masks" / "index.csv").is_file():
        raise DatasetError(
            f"{folder}: no hand_masks/index.csv; set {DATA_VARIABLE} or benchmark.data, or benchmark.real=false"
        )
    return folder


def real_cases(config: MasksConfig) -> list[Case]:
    """The annotated frames, by episode and camera."""
    folder = data_folder(config)
    with open(folder / "hand_masks" / "index.csv", newline="", encoding="utf-8") as file:
        entries = list(csv.DictReader(file))
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for entry in entries:
        groups.setdefault((entry["dataset"], entry["episode"], entry["camera"]), []).append(entry)
    return [real_case(folder, key, members) for key, members in groups.items()]


def real_case(folder: Path, key: tuple[str, str, str], entries: list[dict]) -> Case:
    """One real episode with its annotated frames."""
    dataset, number, camera = key
    if (folder / dataset / "meta" / "info.json").is_file():
        episode = read_episode(open_dataset(DatasetConfig(root=str(folder / dataset))), int(number), camera)
    else:
        episode = read_clip(folder / dataset / number)
    labels = [
        cv2.imread(str(folder / "hand_masks" / f"{entry['name']}.png"), cv2.IMREAD_GRAYSCALE) for entry in entries
    ]
    actor, object_, ignored = from_labels(torch.from_numpy(np.stack(labels)))
    frames = tuple(int(entry["frame_in_episode"]) for entry in entries)
    return Case(
        f"{dataset}_{number}_{camera.rsplit('.', 1)[-1]}",
        "real",
        episode,
        phases_of(episode),
        frames,
        actor,
        object_,
        ignored,
    )


def read_clip(path: Path) -> Episode:
    """A bare video as an episode without state and action.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate)
            images = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (OSError, av.FFmpegError) as error:
        raise DatasetError(f"{path}: cannot be decoded ({error}); copy the file again") from error
    frames = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return Episode(path.parent.name, int(path.stem), "video", frames, None, None, (), (), fps, "", None)


def phases_of(episode: Episode) -> tuple[EpisodePhases, ...]:
    """When the gripper holds something; () where the dataset does not say."""
    if episode.state is None:
        return ()
    try:
        kinematics = build_kinematics(RobotConfig(), episode.state_names, episode.action_names, episode.robot_type)
        opening = kinematics.gripper_opening(episode.state)
    except KinematicsError:
        return ()
    return tuple(find_phases(opening, episode.fps))


def draw(folder: Path, case: Case, masks: MaskTrajectory) -> None:
    """Overlays: prediction beside truth; actor green, object red."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, frame in enumerate(case.frames):
        image = case.episode.frames[frame].permute(1, 2, 0).numpy()
        sides = []
        for actor, object_ in ((masks.actor[frame], masks.object[frame]), (case.actor[row], case.object[row])):
            side = image.copy()
            for mask, colour in ((actor, (0, 255, 0)), (object_, (255, 0, 0))):
                side[mask.numpy()] = (0.45 * side[mask.numpy()] + 0.55 * np.array(colour)).astype(np.uint8)
            sides.append(side)
        cv2.imwrite(str(folder / f"{case.name}_{frame:04d}.png"), np.hstack(sides)[..., ::-1])
