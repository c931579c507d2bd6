"""A robot is in one piece and comes in from the edge of the picture: what the network calls robot elsewhere is not."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.segmentation.change import histogram
from m2iv_robot.segmentation.tracking import Appearance

OBJECT_SHARE = 0.65  # of an object's colour against the robot's, from which a held pixel is the object's
FILL_LEVELS = 26  # of 255 that a clicked thing's colour varies by
LARGEST_FILL = 0.05  # of the frame; more is no thing
LARGE_HINT_PX = 120  # a hint of more pixels is a box
NEAR_PX = 4  # a part within this distance of the robot belongs to it


def robot_parts(masks: Bool[Tensor, "t h w"], least_px: int) -> Bool[Tensor, "t h w"]:
    """The parts that reach the picture's edge and those next to them; the largest part where none ever does."""
    frames = masks.numpy().astype(np.uint8)
    at_edge = np.stack([reaching_edge(mask, least_px) for mask in frames])
    if not at_edge.any():
        at_edge = np.stack([largest(mask) for mask in frames])
    return torch.from_numpy(np.stack([joined(mask, seed) for mask, seed in zip(frames, at_edge, strict=True)]))


def reaching_edge(mask: np.ndarray, least_px: int) -> np.ndarray:
    """The parts of at least `least_px` pixels that touch the edge."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    height, width = mask.shape
    kept = []
    for part in range(1, count):
        left, top, wide, high, area = statistics[part]
        if area >= least_px and (left <= 1 or top <= 1 or left + wide >= width - 1 or top + high >= height - 1):
            kept.append(part)
    return np.isin(parts, kept) if kept else np.zeros(mask.shape, bool)


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest part."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else np.zeros(mask.shape, bool)


def joined(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The parts of a mask that are next to the seed, or next to such a part."""
    kernel = np.ones((2 * NEAR_PX + 1, 2 * NEAR_PX + 1), np.uint8)
    _, parts = cv2.connectedComponents(mask, connectivity=8)
    while True:
        near = cv2.dilate(seed.astype(np.uint8), kernel) > 0
        grown = np.isin(parts, np.unique(parts[near & (mask > 0)])) & (mask > 0)
        if (grown == seed).all() or not grown.any():
            return grown
        seed = grown


def things_at(lost: Bool[Tensor, "t h w"], rest: Bool[Tensor, "h w"], least_px: int) -> Bool[Tensor, "t h w"]:
    """Of parts that turned out to be no robot, those that lie where the object rests."""
    near = cv2.dilate(rest.numpy().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    out = np.zeros(tuple(lost.shape), bool)
    for row, mask in enumerate(lost.numpy().astype(np.uint8)):
        count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            region = parts == part
            if statistics[part, cv2.CC_STAT_AREA] >= least_px and (region & near).sum() > 0.4 * region.sum():
                out[row] |= region
    return torch.from_numpy(out)


def lab_of(image: UInt8[Tensor, "3 h w"]) -> np.ndarray:
    """A frame in CIE Lab, `h w 3` float32."""
    picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return cv2.cvtColor(cv2.GaussianBlur(picture, (3, 3), 0).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def same_colour_around(frame: UInt8[Tensor, "3 h w"], hint: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The hint, and around its middle what has the same colour without a break; a large hint stays as it is."""
    rows, columns = np.nonzero(hint.numpy())
    if len(rows) == 0 or len(rows) > LARGE_HINT_PX:
        return hint
    picture = cv2.GaussianBlur(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()), (3, 3), 0)
    filled = np.zeros((picture.shape[0] + 2, picture.shape[1] + 2), np.uint8)
    seed = (round(float(columns.mean())), round(float(rows.mean())))
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    cv2.floodFill(picture, filled, seed, 0, (FILL_LEVELS,) * 3, (FILL_LEVELS,) * 3, flags)
    region = filled[1:-1, 1:-1] > 0
    return torch.from_numpy(region) if region.mean() < LARGEST_FILL else hint


def held_things(
    frames: UInt8[Tensor, "t 3 h w"], robot: Bool[Tensor, "t h w"], looks: Appearance, area_px: int
) -> Bool[Tensor, "t h w"]:
    """In each frame the largest part of the robot's mask that has the object's colours, and about its size."""
    out = np.zeros(tuple(robot.shape), bool)
    for row, (frame, mask) in enumerate(zip(frames, robot.numpy(), strict=True)):
        share = cv2.GaussianBlur(np.where(mask, looks.object_share(lab_of(frame)), 0).astype(np.float32), (0, 0), 1.0)
        alike = cv2.morphologyEx((share > OBJECT_SHARE).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, parts, statistics, _ = cv2.connectedComponentsWithStats(alike, connectivity=8)
        if count > 1:
            best = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
            if 0.2 * area_px < statistics[best, cv2.CC_STAT_AREA] < 2 * area_px:
                region = cv2.morphologyEx((parts == best).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
                out[row] = (region > 0) & mask
    return torch.from_numpy(out)


def looks_of(
    target_frame: UInt8[Tensor, "3 h w"],
    target_mask: Bool[Tensor, "h w"],
    frames: UInt8[Tensor, "t 3 h w"],
    robot: Bool[Tensor, "t h w"],
) -> Appearance:
    """Colours of the object in its reference frame, and of the robot in some frames."""
    chosen = range(0, len(frames), max(1, len(frames) // 12))
    colours = [lab_of(frames[row])[robot[row].numpy()] for row in chosen]
    return Appearance(histogram(lab_of(target_frame)[target_mask.numpy()]), histogram(np.concatenate(colours)))
