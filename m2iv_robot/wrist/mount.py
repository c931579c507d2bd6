"""How a camera is mounted on the tool: found in its own pictures, in which a flat table slides by as the tool moves.

The tool's poses are known and the table is a plane, so that a point of it tracked from one picture to another says
where the camera must be on the tool, and how long its focal length is.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import Camera
from m2iv_robot.errors import CameraError

TRACKED_FRAMES = 3  # over which a point is followed
POINTS = 60  # of a picture, at most
RETURN_PX = 0.5  # a point followed there and back may be so far off
LEAST_MOVE_PX = 0.4  # of a point, for a picture 160 wide
LEAST_TRACKS = 100
MOST_TRACKS = 4000
DIRECTIONS, LENSES = 400, (0.45, 0.7, 1.1)  # of the search; focal lengths in widths of the picture
SEARCH_TRACKS, KEPT_STARTS = 150, 12
BACK_M = 0.1  # from the tool, against the camera's axis, where the search starts
FARTHEST_M = 0.35  # of a camera from its tool
FARTHEST_PX = 60.0  # of an error that counts as larger ones do
NEAR_PX = 1.5  # tracks explained so well are explained, for a picture 160 wide
LEAST_EXPLAINED = 0.3  # of all tracks; those on gripper, shadows and things carried are not
TABLE_SIGMA_M, BACK_SIGMA_M, LENS_SIGMA = 0.02, 0.3, 1.0  # what is thought beforehand


@dataclass(frozen=True)
class Tracks:
    """Points seen in two pictures of one episode each, and the tool's pose in both."""

    first_frame: Int[np.ndarray, " n"]
    second_frame: Int[np.ndarray, " n"]
    first_pose: Float[np.ndarray, "n 4 4"]
    second_pose: Float[np.ndarray, "n 4 4"]
    first_px: Float[np.ndarray, "n 2"]
    second_px: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.first_px)

    def take(self, which: np.ndarray) -> "Tracks":
        """Some of them."""
        return Tracks(*(getattr(self, one.name)[which] for one in fields(self)))


@dataclass(frozen=True)
class Mount:
    """A camera fixed to the tool."""

    focal_px: float
    width: int
    height: int
    pose: Float[np.ndarray, "4 4"]  # of the camera (x right, y down, z forward) in the tool frame
    table_m: float  # height of the table that it sees, base frame
    explained: float  # share of the tracks that it explains

    def camera(self, tool: Float[np.ndarray, "4 4"]) -> Camera:
        """The camera where the tool's pose (base frame) has it."""
        there = tool @ self.pose
        rotation = there[:3, :3].T
        return Camera(self.focal_px, self.width, self.height, rotation, -rotation @ there[:3, 3])


def track(frames: UInt8[np.ndarray, "t h w 3"], poses: Float[np.ndarray, "t 4 4"]) -> Tracks:
    """Points of one episode followed over some frames each (Lucas-Kanade, there and back)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    found: list[tuple[np.ndarray, ...]] = []
    for begin in range(0, len(grey) - TRACKED_FRAMES, TRACKED_FRAMES + 1):
        corners = cv2.goodFeaturesToTrack(grey[begin], POINTS, 0.01, 0.03 * grey[begin].shape[1])
        if corners is None:
            continue
        points, good = corners, np.ones(len(corners), bool)
        for frame in range(begin, begin + TRACKED_FRAMES):
            onward, there = _follow(grey[frame], grey[frame + 1], points)
            returned, back = _follow(grey[frame + 1], grey[frame], onward)
            good &= there & back & (np.linalg.norm(returned - points, axis=-1)[:, 0] < RETURN_PX)
            points = onward
        pair = np.full(int(good.sum()), begin), np.full(int(good.sum()), begin + TRACKED_FRAMES)
        found.append((*pair, corners[good, 0], points[good, 0]))
    if not found:
        found = [(np.empty(0, int), np.empty(0, int), np.empty((0, 2)), np.empty((0, 2)))]
    first, second, first_px, second_px = (np.concatenate(part) for part in zip(*found, strict=True))
    return Tracks(first, second, poses[first], poses[second], first_px.astype(float), second_px.astype(float))


def _follow(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, status, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(15, 15), maxLevel=3)
    return points, status[:, 0] > 0


def joined(tracks: list[Tracks]) -> Tracks:
    """Tracks of several episodes."""
    return Tracks(*(np.concatenate([getattr(part, one.name) for part in tracks]) for one in fields(Tracks)))


def fit_mount(tracks: Tracks, size: tuple[int, int], table_m: float = 0.0) -> Mount:
    """The mount under which a flat table explains most tracks; `size` is width, height.

    `table_m`: about where the table is, base frame. Searched from all directions that a camera may look in, then
    fitted by robust least squares on pixels.

    Raises:
        CameraError: too few tracks, a camera that hardly moves, or none that explains enough of them.
    """
    followed = len(tracks)
    moved = np.linalg.norm(tracks.first_px - tracks.second_px, axis=1)
    tracks = tracks.take(moved > LEAST_MOVE_PX * size[0] / 160)  # what stands still in the picture is the gripper's
    if len(tracks) < LEAST_TRACKS:
        raise CameraError(
            f"{followed} points could be followed, {len(tracks)} of them while they moved: too little to tell how the "
            "camera is mounted (a table without texture, or a camera that does not move)"
        )
    generator = np.random.default_rng(0)
    tracks = tracks.take(generator.permutation(len(tracks))[:MOST_TRACKS])
    few = tracks.take(np.arange(min(len(tracks), SEARCH_TRACKS)))
    starts = [
        np.r_[np.log(lens * size[0]), turn.as_rotvec(), turn.apply([0, 0, -BACK_M]), table_m]
        for turn in Rotation.random(DIRECTIONS, random_state=0)
        for lens in LENSES
    ]
    starts.sort(key=lambda start: _loss(_errors(start, few, size), 5 * NEAR_PX))
    fitted = [_fit(start, few, size, table_m) for start in starts[:KEPT_STARTS]]
    best = min(fitted, key=lambda unknowns: _loss(_errors(unknowns, few, size), NEAR_PX))
    best = _fit(best, tracks, size, table_m)
    apart = np.linalg.norm(_errors(best, tracks, size), axis=1)
    explained = float((apart < NEAR_PX * max(1.0, size[0] / 160)).mean())
    if explained < LEAST_EXPLAINED:
        raise CameraError(
            f"no place of the camera on the tool explains more than {100 * explained:.0f} % of the points that were "
            "followed: it is not fixed to the tool, not in step with the state, or sees no flat table"
        )
    if np.linalg.norm(best[4:7]) > FARTHEST_M:
        raise CameraError(
            f"the camera would be {np.linalg.norm(best[4:7]):.1f} m from the tool: it is not mounted there, or what it "
            "sees is no flat table"
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(best[1:4]).as_matrix(), best[4:7]
    return Mount(float(np.exp(best[0])), *size, pose, float(best[7]), explained)


def _fit(start: np.ndarray, tracks: Tracks, size: tuple[int, int], table_m: float) -> Float[np.ndarray, "8"]:
    def residuals(unknowns: np.ndarray) -> np.ndarray:
        thought = [
            (unknowns[0] - np.log(0.7 * size[0])) / LENS_SIGMA,
            *unknowns[4:7] / BACK_SIGMA_M,
            (unknowns[7] - table_m) / TABLE_SIGMA_M,
        ]
        return np.r_[_errors(unknowns, tracks, size).ravel(), thought]

    return least_squares(residuals, start, loss="cauchy", f_scale=0.5, max_nfev=60).x


def _errors(unknowns: Float[np.ndarray, "8"], tracks: Tracks, size: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
    """How far from where it is seen second each point would be (px); unknowns: log focal length, camera, table."""
    focal, turn, shift = np.exp(unknowns[0]), Rotation.from_rotvec(unknowns[1:4]).as_matrix(), unknowns[4:7]
    centre = (np.array(size) - 1) / 2
    eyes = [pose[:, :3, :3] @ shift + pose[:, :3, 3] for pose in (tracks.first_pose, tracks.second_pose)]
    axes = [pose[:, :3, :3] @ turn for pose in (tracks.first_pose, tracks.second_pose)]
    rays = np.concatenate([(tracks.first_px - centre) / focal, np.ones((len(tracks), 1))], axis=1)
    rays = np.einsum("nij,nj->ni", axes[0], rays)
    falls = np.where(np.abs(rays[:, 2]) > 1e-6, rays[:, 2], 1e-6)
    far = (unknowns[7] - eyes[0][:, 2]) / falls
    there = eyes[0] + np.clip(far, -5, 5)[:, None] * rays
    seen = np.einsum("nji,nj->ni", axes[1], there - eyes[1])
    depth = np.maximum(seen[:, 2:], 0.01)
    apart = np.clip(focal * seen[:, :2] / depth + centre - tracks.second_px, -FARTHEST_PX, FARTHEST_PX)
    apart[(far <= 0) | (seen[:, 2] <= 0.01)] = FARTHEST_PX
    return apart


def _loss(errors: Float[np.ndarray, "n 2"], scale_px: float) -> float:
    squares = np.square(errors).sum(1) / scale_px**2
    return float((squares / (1 + squares)).mean())
