"""How good the camera checks and the camera fit are: simulated labs with a known camera, and real recordings.

Simulated: a camera fitted on episodes whose objects start in one half of the table, against the true one over the
places where no object has been. Real: which cameras are found fixed, and where the object lies at its release,
predicted by a camera fitted on the other frames.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from m2iv_robot.background import build_plate
from m2iv_robot.benchmark.camera_labs import measure_labs, phases_of
from m2iv_robot.camera import (
    CameraConfig,
    CameraFit,
    Correspondences,
    correspondences,
    fit_camera,
    group_by_pose,
    measure_stillness,
    median_frame,
)
from m2iv_robot.camera.correspondences import rest
from m2iv_robot.data.lerobot_io import Dataset, DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, DatasetError, M2IVError
from m2iv_robot.segmentation import Segmenter, load_segmenter, parse_segmentation
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory

DATA_VARIABLE = "M2IV_DATA"
DATASETS = ("droid_blocks", "droid_tabletop", "droid_scenes", "bridge_v2")
PICK_AND_PLACE = "droid_blocks"
HELD_OUT_S = 0.5  # before the release, besides everything after it


@dataclass(frozen=True)
class CameraBenchmarkConfig:
    """configs/benchmark/camera.yaml: what is measured."""

    data: str = ""  # folder with the real datasets; empty: $M2IV_DATA, else ../shared/data
    simulated_labs: int = 3  # each with its own camera, light and object; 0 leaves the simulation out
    simulated_episodes: int = 10  # of each lab
    annotated_labs: int = 1  # of them, also with the masks that the segmenter finds
    segmentation: str = "learned"  # the segmenter that finds the masks
    masks: str = ""  # folder of m2iv annotate with masks of the real recordings; empty: the segmenter finds them here
    stillness: bool = True
    release: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.simulated_labs, self.annotated_labs) < 0 or self.simulated_episodes < 1:
            raise ConfigError("benchmark.camera: labs must not be negative, simulated_episodes at least 1")


def run(config: CameraBenchmarkConfig) -> dict:
    """Table error in simulated labs, fixed and moving real cameras, error of predicted releases."""
    figures: dict = {}
    if config.simulated_labs:
        labs, annotated = config.simulated_labs, config.annotated_labs
        figures |= measure_labs(labs, annotated, config.simulated_episodes, config.segmentation, config.seed)
    if config.stillness:
        figures |= real_stillness(data_folder(config))
    if config.release:
        figures |= real_releases(data_folder(config), config)
    return figures


def data_folder(config: CameraBenchmarkConfig) -> Path:
    """The folder with the real datasets.

    Raises:
        DatasetError: they are not there.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(config.data or os.environ.get(DATA_VARIABLE, "") or beside)
    if not (folder / PICK_AND_PLACE / "meta" / "info.json").is_file():
        raise DatasetError(f"{folder}: no dataset {PICK_AND_PLACE}; set {DATA_VARIABLE} or benchmark.data=FOLDER")
    return folder


def real_stillness(folder: Path) -> dict:
    """Every camera of the real datasets: how many episodes find it fixed, and how many poses it had."""
    rows = []
    for dataset in datasets_in(folder):
        for camera in dataset.cameras:
            episodes = [read_episode(dataset, index, camera) for index in range(dataset.episode_count)]
            still = [measure_stillness(episode) for episode in episodes]
            fixed = [entry.fixed(CameraConfig()) for entry in still]
            rows.append(
                {
                    "dataset": dataset.name,
                    "camera": camera.rsplit(".", 1)[-1],
                    "episodes": len(still),
                    "fixed": sum(fixed),
                    "least_share": min(entry.share for entry in still),
                    "most_share": max(entry.share for entry in still),
                    "moved_px": float(np.median([entry.moved_px for entry in still])),
                    "poses": len(group_by_pose([median_frame(episode.frames) for episode in episodes]))
                    if all(fixed)
                    else None,
                }
            )
    return {"cameras": rows}


def datasets_in(folder: Path) -> Iterator[Dataset]:
    """The real datasets that are there."""
    for name in DATASETS:
        if (folder / name / "meta" / "info.json").is_file():
            yield open_dataset(DatasetConfig(root=str(folder / name)))


def real_releases(folder: Path, config: CameraBenchmarkConfig) -> dict:
    """Error of the predicted release in every fixed view of the pick-and-place recordings."""
    dataset = open_dataset(DatasetConfig(root=str(folder / PICK_AND_PLACE)))
    segmenter = load_segmenter(parse_segmentation({"name": config.segmentation}))
    rows = []
    for index in range(dataset.episode_count):
        for camera in dataset.cameras:
            episode = read_episode(dataset, index, camera)
            if not measure_stillness(episode).fixed(CameraConfig()):
                continue
            name = {"episode": index, "camera": camera.rsplit(".", 1)[-1]}
            try:
                rows.append(name | release_row(episode, real_masks(config, episode, segmenter)))
            except M2IVError as error:
                rows.append(name | {"failed": str(error)})
    errors = [row["contact_error_px"] for row in rows if "contact_error_px" in row]
    summary = {"release_views": len(rows), "release_predicted": len(errors)}
    if errors:
        summary |= {"release_error_median_px": float(np.median(errors)), "release_error_worst_px": float(max(errors))}
    return summary | {"releases": rows}


def real_masks(config: CameraBenchmarkConfig, episode: Episode, segmenter: Segmenter) -> MaskTrajectory:
    """Masks of a real episode: those in the given folder, or what the segmenter finds with the episode's own plate.

    Raises:
        DatasetError: the folder has none for it.
        SegmentationError: the segmenter gives up.
    """
    if config.masks:
        stored = MaskStore(config.masks).load(episode.dataset, episode.index, episode.camera)
        if stored is None:
            raise DatasetError(f"no masks in {config.masks}; run m2iv annotate")
        return stored
    phases = tuple(phases_of(episode)[1])
    rough = segmenter.segment(episode, None, None, phases)
    return segmenter.segment(episode, build_plate([episode.frames], [rough]), None, phases)


def release_row(episode: Episode, masks: MaskTrajectory) -> dict:
    """Predict the last release of an episode from a camera fitted without it.

    Compared with where the object is seen in the last of the held-out held frames, and with where it comes to rest:
    between the two the opening fingers may push it (`pushed_px`), which no projection can know.

    Raises:
        M2IVError: the masks do not show the release, or no camera fits.
    """
    kinematics, phases = phases_of(episode)
    poses = kinematics.forward(episode.state)
    settings = replace(CameraConfig(), max_table_sigma_m=np.inf)  # the image is what counts here
    data = correspondences(masks, poses, phases, episode.fps, settings)
    if not len(data):
        raise DatasetError("the object is not seen to move with the gripper")
    last = data.frame[data.group == data.group.max()]
    phase = next(phase for phase in phases if phase.grasp <= last.max() < phase.release)
    kept = ~in_release(data, phase, episode.fps)
    height, width = episode.frames.shape[-2:]
    fit = fit_camera(data.take(kept), (width, height), settings, tuple(kinematics.config.finger_offset_m))
    frame, contact, resting = seen_release(data, masks, phase, episode.fps)
    predicted = predict(fit, poses[frame], int(data.group.max()))
    return {
        "frame": frame,
        "points": int(kept.sum()),
        "residual_px": fit.median_residual_px,
        "contact_error_px": float(np.linalg.norm(predicted - contact)),
        "resting_error_px": float(np.linalg.norm(predicted - resting)),
        "pushed_px": float(np.linalg.norm(resting - contact)),
    }


def in_release(data: Correspondences, phase: EpisodePhases, fps: float) -> np.ndarray:
    """Which correspondences show the release: the last half second of the hold and all that follows."""
    return data.frame >= phase.release - max(1, round(HELD_OUT_S * fps))


def seen_release(
    data: Correspondences, masks: MaskTrajectory, phase: EpisodePhases, fps: float
) -> tuple[int, Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """The last held frame in which the object is seen, its pixel there, and where it rests afterwards."""
    after = rest(masks.object, (min(phase.release + round(HELD_OUT_S * fps), len(masks.object) - 1), len(masks.object)))
    if after is None:
        raise DatasetError("the object is not seen after its release")
    held_out = np.flatnonzero(in_release(data, phase, fps))
    if not len(held_out):
        raise DatasetError("the object is not seen at its release")
    last = held_out[data.frame[held_out].argmax()]
    return int(data.frame[last]), data.pixels[last], after.centre


def predict(fit: CameraFit, pose: Float[np.ndarray, "4 4"], group: int) -> Float[np.ndarray, "2"]:
    """Pixel of the object's centre that a tool pose says."""
    return fit.camera.project(fit.object_points_m(pose[None], group))[0]
