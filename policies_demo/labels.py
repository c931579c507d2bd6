"""Are the generated labels right? What the generated pictures show against where the labels take the arm.

The object is found in the first frame of every generated episode, and where it stands is read off that pixel with the
simulator's camera. Labels are right if the arm takes hold there as the recorded one did at its own place, and if the
actions, played open loop with the object there, do the task.
"""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.benchmark.labels import true_camera
from m2iv_robot.data.lerobot_io import PROVENANCE_FILE, Dataset, DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.simulation import Truth, load_truth, replay
from m2iv_robot.errors import M2IVError
from m2iv_robot.kinematics import Kinematics, RobotConfig, build_kinematics, find_phases
from m2iv_robot.masks import dilate
from m2iv_robot.segmentation.states import distance, is_shadow, to_lab
from m2iv_robot.segmentation.tracking import FOREGROUND_COLOUR
from m2iv_robot.types import Episode
from policies_demo.config import FRONT, DemoConfig
from policies_demo.sets import make_set

LABELS = "labels.json"
CELL_M = 0.04
ACTOR_MARGIN_PX = 7  # kernel by which the recorded arm is grown: nothing is looked for there


def check_labels(config: DemoConfig, name: str = "generated") -> Path:
    """Judge every episode of a set that `m2iv augment` made; returns the file with a row for each and a summary.

    Raises:
        M2IVError: the set is not there.
    """
    root = config.root / "sets" / name
    if not (root / "meta" / "info.json").is_file():
        raise M2IVError(f"{root}: no such set yet; run the row that is made of it first")
    sources = make_set(config, "sources")
    recorded, made = (open_dataset(DatasetConfig(root=str(path))) for path in (sources, root))
    origins = [json.loads(line) for line in (root / PROVENANCE_FILE).read_text().splitlines()]
    seen = [_seen(made, index, recorded, sources, origin) for index, origin in enumerate(origins)]
    found = [one for one in seen if one is not None]
    with ProcessPoolExecutor(config.recorders or os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        tried = list(pool.map(_replayed, *zip(*(rest for _, *rest in found), strict=True)))
    rows = [row | {"success": success} for (row, *_), success in zip(found, tried, strict=True)]
    path = config.root / LABELS
    told = summary(rows, len(seen)) | {"cells_covered": covered(config, [row["start_xy"] for row in rows])}
    path.write_text(json.dumps({"summary": told, "episodes": rows}, indent=1) + "\n")
    return path


def summary(rows: list[dict], count: int) -> dict:
    """Plain figures of `rows`, of `count` episodes in all: the others show no object."""
    figures = {"episodes": count, "object_found_in": len(rows)}
    for part, chosen in (("all", rows), ("unseen", [row for row in rows if row["unseen"]])):
        errors = [row["label_error_cm"] for row in chosen]
        figures[part] = {
            "episodes": len(chosen),
            "label_error_median_cm": round(float(np.median(errors)), 3) if errors else None,
            "label_error_worst_cm": round(max(errors), 3) if errors else None,
            "replays_that_succeed": sum(row["success"] for row in chosen),
        }
    return figures


def covered(config: DemoConfig, places_m: list[list[float]]) -> str:
    """In how many cells of the start region, about `CELL_M` wide, at least one object starts: "22 of 24"."""
    low = np.array([config.start_x_min, -config.start_y_max])
    high = np.array([config.start_x_max, config.start_y_max])
    count = np.maximum(1, np.round((high - low) / CELL_M).astype(int))
    cells = ((np.array(places_m).reshape(-1, 2) - low) / (high - low) * count).astype(int)
    taken = {tuple(cell) for cell in np.clip(cells, 0, count - 1).tolist()}
    return f"{len(taken)} of {int(count.prod())}"


def _seen(
    made: Dataset, index: int, recorded: Dataset, sources: Path, origin: dict
) -> tuple[dict, Truth, tuple[float, float], float, np.ndarray] | None:
    """One episode's row, what its source truly was, where its object stands and how it is turned, and its actions."""
    number = origin["source_episode"]
    truth = load_truth(sources, number)
    episode, source = read_episode(made, index, FRONT), read_episode(recorded, number, FRONT)
    free = ~dilate(truth.masks.actor[:1], ACTOR_MARGIN_PX)[0]
    places = [object_centre(each.frames[0], truth.plate.image, free) for each in (episode, source)]
    if places[0] is None or places[1] is None:
        return None
    camera, true_m = true_camera(truth), truth.object_positions_m[:1]
    pixel = camera.project(true_m) + places[0] - places[1]
    stands_m = camera.unproject(pixel, float(true_m[0, 2]))[0]
    kinematics = build_kinematics(RobotConfig(), episode.state_names, episode.action_names, source.robot_type)
    in_hand = [_in_hand(each, kinematics, at) for each, at in ((episode, stands_m), (source, true_m[0]))]
    if in_hand[0] is None or in_hand[1] is None:
        return None
    row = {
        "episode": index,
        "source_episode": number,
        "start_xy": [round(float(value), 4) for value in stands_m[:2]],
        "unseen": bool(stands_m[1] > 0),
        "label_error_cm": round(100 * float(np.linalg.norm(in_hand[0] - in_hand[1])), 3),
    }
    yaw = truth.start_yaw_rad + origin.get("turn_rad", 0.0)
    return row, truth, (float(stands_m[0]), float(stands_m[1])), yaw, episode.action.double().numpy()


def object_centre(
    frame: UInt8[Tensor, "3 h w"], plate: UInt8[Tensor, "3 h w"], free: Bool[Tensor, "h w"]
) -> Float[np.ndarray, " 2"] | None:
    """Centre (x, y) of the largest thing in `free` pixels that is neither the empty scene nor a shadow on it."""
    shown, bare = to_lab(frame), to_lab(plate)
    thing = (distance(shown, bare) > FOREGROUND_COLOUR) & ~is_shadow(shown, bare) & free.numpy()
    thing = cv2.morphologyEx(thing.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, _, stats, centres = cv2.connectedComponentsWithStats(thing, connectivity=8)
    return centres[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] if count > 1 else None


def _in_hand(
    episode: Episode, kinematics: Kinematics, place_m: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"] | None:
    """Where a place lies in the tool's frame when the labels say that the gripper has closed."""
    phases = find_phases(kinematics.gripper_opening(episode.state), episode.fps)
    if not phases:
        return None
    tool = kinematics.forward(episode.state)[phases[0].grasp]
    return tool[:3, :3].T @ (place_m - tool[:3, 3])


def _replayed(truth: Truth, start_xy: tuple[float, float], yaw_rad: float, actions: np.ndarray) -> bool:
    torch.set_num_threads(1)
    return bool(replay(truth.config, truth.seed, start_xy, actions, yaw_rad).success)
