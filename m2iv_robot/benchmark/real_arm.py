"""Real recordings of an arm whose tool alone is recorded: is the camera right, are its pictures elsewhere like it.

The camera is judged by what it never saw: the fingertips are where the object rests when they take it and leave it, and
two cameras have the object at one place. Bending: each measured frame's arm is made from the nearest one at least a
quarter of the episode away, bent by the hand alone and by all links, and posed from all frames that far away
(`ArmFilm`), and compared with the frame.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.arm import ArmFilm
from m2iv_robot.augment.footage import film_of
from m2iv_robot.augment.handles import arm_points_m, links_px, projected, root_of
from m2iv_robot.augment.matching import arm_distance
from m2iv_robot.benchmark.real_data import real_dataset
from m2iv_robot.camera import CameraFit
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import CameraError, ConfigError
from m2iv_robot.generation import SourceScene
from m2iv_robot.generation.deformation import bend_field, pull
from m2iv_robot.generation.still import left_standing, still_parts
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import PlanTask
from m2iv_robot.plan.cameras import camera_fits
from m2iv_robot.plan.dataset import kinematics_of, pose_groups
from m2iv_robot.plan.scenes import SourceEpisode, read_sources
from m2iv_robot.segmentation import load_segmenter, parse_segmentation
from m2iv_robot.types import MaskTrajectory

APART_SHARE = 0.25  # of an episode: a frame beside the wanted one is the answer itself
WAYS = ("hand", "links", "posed")


@dataclass(frozen=True)
class RealArmBenchmarkConfig:
    """configs/benchmark/real_arm.yaml: which recordings."""

    data: str = ""  # folder with the real datasets; empty: $M2IV_DATA, else ../shared/data
    datasets: list[str] = field(default_factory=list)  # in it, by name
    cameras: list[str] = field(default_factory=list)  # fixed ones
    every: int = 4  # so many frames one is measured
    folder: str = "outputs/real_arm"  # for masks; those that are there are used

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError("benchmark.real_arm: every must be at least 1")


def run(config: RealArmBenchmarkConfig) -> dict:
    """Distances in cm for the camera; overlap (IoU) and PSNR of the arm's region for each way to bend it."""
    cameras, bends, places = [], [], {}
    segmenter = load_segmenter(parse_segmentation({"name": "learned"}))
    for name, camera in itertools.product(config.datasets, config.cameras):
        dataset = open_dataset(DatasetConfig(root=str(real_dataset(config.data, name))))
        store = MaskStore(Path(config.folder) / "masks")
        annotate_dataset(AnnotationTask(dataset, camera, segmenter, store, "real_arm"))
        # with placement=goal an object may be pushed about before it is taken for good
        task = PlanTask(dataset, camera, store, placement=PlacementConfig(kind="goal"))
        kinematics = kinematics_of(task)
        for pose, members in pose_groups(task, dataset.episode_count, {}).items():
            sources = read_sources(task, kinematics, members, {})
            about = {"dataset": name, "camera": camera.rsplit(".", 1)[-1], "pose": pose}
            try:
                fits = camera_fits(task, kinematics, sources) if sources else []
            except CameraError as error:
                cameras.append(about | {"refused": str(error)})
                continue
            for source, fit in zip(sources, fits, strict=True):
                found = camera_row(source, fit)
                places.setdefault((name, source.labels.index), []).append(found.pop("start"))
                cameras.append(about | {"episode": source.labels.index} | found)
                bends += [about | row for row in bent_rows(config, task, kinematics, source, fit)]
    between = [
        float(np.linalg.norm(one - two)) for both in places.values() for one, two in itertools.combinations(both, 2)
    ]
    return {
        "cameras": cameras,
        "between_cameras_cm": [round(100 * away, 2) for away in between],
        "frames": len(bends),
        "posed_frames": sum("posed_iou" in row for row in bends),
        **{f"{way}_{what}": mean_of(bends, f"{way}_{what}") for way in WAYS for what in ("iou", "psnr_db")},
    }


def mean_of(rows: list[dict], name: str) -> float:
    """Mean of one figure."""
    values = [row[name] for row in rows if name in row]
    return round(float(np.mean(values)), 3) if values else float("nan")


def camera_row(source: SourceEpisode, fit: CameraFit) -> dict:
    """How far the object is from the fingertips, level with them, when it is taken and when it is left (cm)."""
    phase = source.phase
    row: dict = {"by_surface": fit.whole_arm, "focal_share": round(fit.camera.focal_px / fit.camera.width, 3)}
    for name, rest, frame in (("start", source.start, phase.grasp), ("goal", source.goal, phase.release - 1)):
        pose = source.poses[frame]
        tip = pose[:3, :3] @ fit.tip_offset_m + pose[:3, 3]
        middle = centroid(largest_component(rest)).numpy().astype(np.float64)
        place = fit.camera.unproject(middle[None], float(tip[2]))[0]
        row[f"{name}_cm"] = round(100 * float(np.linalg.norm(place[:2] - tip[:2])), 2)
        if name == "start":
            row["start"] = place[:2]
    return row


def recorded(task: PlanTask, source: SourceEpisode) -> tuple[SourceScene, Bool[torch.Tensor, "h w"]]:
    """The episode's frames and masks; parts of the robot that stand still belong to the plate, and where they are."""
    labels = source.labels
    name = task.store.about(task.dataset.name, labels.index, task.camera)["plate"]
    plate = task.store.load_plate(task.dataset.name, task.camera, name)
    scene = SourceScene(read_episode(task.dataset, labels.index, task.camera).frames, source.masks, plate)
    still = still_parts(scene)
    return left_standing(scene, still), still


def bent_rows(
    config: RealArmBenchmarkConfig, task: PlanTask, kinematics: Kinematics, source: SourceEpisode, fit: CameraFit
) -> list[dict]:
    """Each measured frame's arm from frames that are far away, made in every way, against the frame."""
    labels, (scene, still) = source.labels, recorded(task, source)
    actor, plate = scene.masks.actor, scene.plate.image.permute(1, 2, 0).numpy().astype(np.float32)
    frames = scene.frames.permute(0, 2, 3, 1).numpy().astype(np.float32)
    hand = projected(fit, arm_points_m(kinematics, labels.state, fit))
    links = links_px(kinematics, labels.state, fit)
    opening = kinematics.gripper_opening(labels.state)
    apart = arm_distance(hand, hand, (opening, opening))
    film = film_of(scene, labels.state, kinematics, fit, still)
    rows = []
    for at in range(0, labels.length, config.every):
        far = np.abs(np.arange(labels.length) - at) >= APART_SHARE * labels.length
        other = int(np.where(far, apart[at], np.inf).argmin())
        if not (bool(actor[at].any()) and bool(actor[other].any())):
            continue
        row: dict = {"episode": labels.index, "frame": at, "bend_px": round(float(apart[at, other]), 1)}
        pictures = {"posed": posed(film, at, np.flatnonzero(far), plate)} if film is not None else {}
        for way, points in (("hand", hand), ("links", np.concatenate([hand, links], axis=1))):
            moved = warp(points[other], points[at], actor[other], rooted=way == "links" and links.shape[1] > 0)
            made = pull(actor[other].numpy().astype(np.float32), moved) > 0.5
            pictures[way] = made, np.where(made[..., None], pull(frames[other], moved), plate)
        for way, picture in pictures.items():
            found = likeness(scene.masks, at, picture, frames[at])
            row |= {f"{way}_{what}": value for what, value in found.items()}
        rows.append(row)
    return rows


def posed(
    film: ArmFilm, at: int, allowed: Int[np.ndarray, " m"], plate: Float[np.ndarray, "h w 3"]
) -> tuple[Bool[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """Mask and picture of a frame's arm, from the allowed ones."""
    footage, others = film.footage, film.only(allowed)
    pose, opening = footage.poses[at], float(footage.opening[at])
    first = int(others.differences(pose[None], footage.opening[at : at + 1])[0].argmin())
    shot = others.shoot(pose, opening, first)
    cover = shot.cover[..., None]
    return shot.cover > 0.5, cover * shot.colours * footage.gains[at].astype(np.float32) + (1 - cover) * plate


def warp(
    here: Float[np.ndarray, "k 2"], there: Float[np.ndarray, "k 2"], actor: Bool[torch.Tensor, "h w"], rooted: bool
) -> Float[np.ndarray, "h w 2"]:
    """The field that brings points of an arm to where they are wanted."""
    near = np.isfinite(here).all(1) & np.isfinite(there).all(1)
    handles, goals = here[near], there[near]
    root = None if rooted else root_of(actor, handles)
    if root is not None:
        handles, goals = np.concatenate([handles, root]), np.concatenate([goals, root])
    return bend_field(handles, goals, *actor.shape)


def likeness(
    masks: MaskTrajectory, at: int, made: tuple[np.ndarray, np.ndarray], real: Float[np.ndarray, "h w 3"]
) -> dict[str, float]:
    """Overlap of made and real arm, and PSNR where either is, but for the object."""
    actor, thing = (getattr(masks, part)[at].numpy() for part in ("actor", "object"))
    region = (actor | made[0]) & ~thing
    error = float(np.square(made[1] - real)[region].mean()) if region.any() else 0.0
    overlap = (actor & made[0]).sum() / max((actor | made[0]).sum(), 1)
    return {"iou": float(overlap), "psnr_db": float(10 * np.log10(255**2 / max(error, 1e-6)))}
