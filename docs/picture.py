"""Makes the picture in README.md from what `m2iv annotate` and `m2iv plan` wrote: `make picture`."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.report import overlay
from m2iv_robot.types import MaskTrajectory

WIDTH_PX, GAP_PX, ZOOM = 1280, 12, 3


def main() -> None:
    """One frame with its masks, and beside it the plate with the new places."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("drawing", type=Path, help="PNG of a camera pose that m2iv plan wrote")
    parser.add_argument("--camera", default="observation.images.exterior_1")
    parser.add_argument("--episode", type=int, default=0)
    parser.add_argument("--frame", type=int, default=16)
    parser.add_argument("--output", type=Path, default=Path("docs/droid_blocks.jpg"))
    given = parser.parse_args()
    dataset = open_dataset(DatasetConfig(root=str(given.dataset)))
    episode = read_episode(dataset, given.episode, given.camera)
    masks = MaskStore(given.masks).load(dataset.name, given.episode, given.camera)
    one = slice(given.frame, given.frame + 1)
    chosen = MaskTrajectory(masks.actor[one], masks.object[one], masks.confidence[one])
    left = bgr(overlay(episode.frames[one], chosen, ZOOM)[0])
    right = cv2.imread(str(given.drawing))
    right = cv2.resize(right, left.shape[1::-1], interpolation=cv2.INTER_AREA)
    joined = np.hstack([left, np.full((len(left), GAP_PX * 3 // 2, 3), 255, np.uint8), right])
    height = round(joined.shape[0] * WIDTH_PX / joined.shape[1])
    small = cv2.resize(joined, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(given.output), small, [cv2.IMWRITE_JPEG_QUALITY, 88])


def bgr(image: torch.Tensor) -> np.ndarray:
    """3 h w RGB as OpenCV wants it."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy()[..., ::-1])


if __name__ == "__main__":
    main()
