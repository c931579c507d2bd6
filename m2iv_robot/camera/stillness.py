"""Whether a camera stands still, judged by its pixels alone."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.tracks import corners, grey, track
from m2iv_robot.errors import CameraError
from m2iv_robot.types import Episode

SAMPLES = 17
LEAST_CORNERS = 12
EDGE_LEVELS = 6.0  # of 255 a pixel: a steeper slope is an edge
NOISE_LEVELS = 4.0  # that a pixel may change by
EDGE_SHIFT_PX = 0.5  # an edge that moves less stands still
WORST_SHARE = 20  # percentile: a camera bumped in mid-episode fails, a hand passing before it does not


@dataclass(frozen=True)
class Stillness:
    """How much of a scene stays where it is over an episode."""

    share: float  # of its details, in all but a fifth of the frames
    moved_px: float  # median displacement of the details that can be followed, in all but a fifth of the frames
    details: int
    edges: float  # share of the middle frame's edges that look the same, in all but a fifth of the frames

    def fixed(self, config: CameraConfig) -> bool:
        """Whether the camera stands still: enough details stay in place, or enough of the edges."""
        return self.share >= config.still_share or self.edges >= config.still_edges


def measure_stillness(episode: Episode, config: CameraConfig | None = None) -> Stillness:
    """Compare frames over the whole episode with its middle one; arm and object may cover most of the scene.

    Raises:
        CameraError: fewer than two frames, or nothing in view to tell by.
    """
    config = config or CameraConfig()
    where = f"{episode.dataset} episode {episode.index}, camera {episode.camera}"
    if episode.length < 2:
        raise CameraError(f"{where}: {episode.length} frame cannot show whether the camera moves; leave it out")
    chosen = np.unique(np.linspace(0, episode.length - 1, SAMPLES).astype(int))
    images = [grey(episode.frames[index]) for index in chosen]
    middle = images.pop(len(images) // 2)
    points = corners(middle)
    if len(points) < LEAST_CORNERS:
        raise CameraError(
            f"{where}: {len(points)} details in view are too few to tell whether the camera moves; "
            "check that the video is not blank, or choose another camera"
        )
    limit_px = config.still_px * middle.shape[1] / 320
    tracks = [track(middle, image, points) for image in images]
    shares = [entry.share_within(limit_px) for entry in tracks]
    moved = [entry.median_px for entry in tracks if entry.found.any()]
    moved_px = float(np.percentile(moved, 100 - WORST_SHARE)) if moved else float("inf")
    edges = float(np.percentile(unchanged_edges(middle, images), WORST_SHARE))
    return Stillness(float(np.percentile(shares, WORST_SHARE)), moved_px, len(points), edges)


def unchanged_edges(
    middle: UInt8[np.ndarray, "h w"], images: list[UInt8[np.ndarray, "h w"]]
) -> Float[np.ndarray, " n"]:
    """In each image the share of the middle one's edges that are where they were.

    Before a plain table nearly all corners are the arm's, but the table's edge and the robot's base stand still.
    """
    middle, *others = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) for image in (middle, *images))
    slope = np.hypot(*(cv2.Sobel(middle, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))))
    edge = slope > EDGE_LEVELS
    if not edge.any():
        return np.zeros(len(others))
    change = [np.abs(other / np.median((other + 1) / (middle + 1)) - middle)[edge] for other in others]
    allowed = np.maximum(NOISE_LEVELS, EDGE_SHIFT_PX * slope[edge])
    return np.array([(each < allowed).mean() for each in change])


def check_fixed(episode: Episode, config: CameraConfig | None = None) -> Stillness:
    """Refuse an episode whose camera moves; returns what was measured.

    Raises:
        CameraError: the camera moves, or it cannot be told.
    """
    config = config or CameraConfig()
    still = measure_stillness(episode, config)
    if not still.fixed(config):
        raise CameraError(
            f"{episode.dataset} episode {episode.index}: camera {episode.camera} moves: only {still.share:.0%} of "
            f"{still.details} details stay in place (a fixed one keeps {config.still_share:.0%} at least), those that "
            f"can be followed move by {still.moved_px:.1f} px; choose a fixed camera: camera=observation.images.NAME"
        )
    return still
