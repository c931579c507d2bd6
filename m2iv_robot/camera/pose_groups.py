"""Which episodes of one camera were seen from the same pose: labs move their cameras between recordings."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.tracks import Tracks, corners, grey, track

SAMPLES = 25


def median_frame(frames: UInt8[Tensor, "t 3 h w"]) -> UInt8[Tensor, "3 h w"]:
    """Temporal median of frames spread over the episode: the scene, mostly without what moves."""
    chosen = torch.linspace(0, frames.shape[0] - 1, min(SAMPLES, frames.shape[0])).long()
    return frames[chosen].median(dim=0).values


def same_pose(
    first: UInt8[Tensor, "3 h w"], second: UInt8[Tensor, "3 _ _"], config: CameraConfig | None = None
) -> bool:
    """Whether two scenes (plates or median frames) were seen from one pose; things on the table may have moved."""
    config = config or CameraConfig()
    if first.shape != second.shape:
        return False
    tracks = compare(first, second)
    limit_px = config.same_pose_px * first.shape[2] / 320
    return tracks.share_within(limit_px) >= config.same_pose_share and tracks.median_px < limit_px


def compare(first: UInt8[Tensor, "3 h w"], second: UInt8[Tensor, "3 h w"]) -> Tracks:
    """Displacement of the first scene's details in the second."""
    source = grey(first)
    return track(source, grey(second), corners(source))


def group_by_pose(scenes: list[UInt8[Tensor, "3 _ _"]], config: CameraConfig | None = None) -> list[list[int]]:
    """Indices of scenes that share a camera pose, groups and members in order.

    A scene joins the first group whose first member it matches: comparing with one scene of the group keeps a slow
    drift from being taken for standing still.
    """
    groups: list[list[int]] = []
    for index, scene in enumerate(scenes):
        home = next((group for group in groups if same_pose(scenes[group[0]], scene, config)), None)
        if home is None:
            groups.append([index])
        else:
            home.append(index)
    return groups
