"""What a camera on the tool would see on a way that the tool never took, from real pictures of the way that it did.

The table comes from a map of it (`floor.py`), with the shadows that arm and thing throw now. The thing where it rests
is a block of real pixels, from the picture that saw it most nearly from there. The gripper, and what it holds, look
from the tool as they always do: they are the source's own.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from m2iv_robot.arm import splat
from m2iv_robot.camera import Camera
from m2iv_robot.masks import from_nearest
from m2iv_robot.wrist.aligning import aligned
from m2iv_robot.wrist.hiding import arm_mask, grown, hidden_table, light_left, shadow_mask, spacing_of
from m2iv_robot.wrist.records import ToolFootage, ToolMotion
from m2iv_robot.wrist.survey import Survey

EDGE_PX = 0.6  # of what stands before the table, for a picture 160 wide
SHOWN_PX = 1  # around the gripper's outline that is its own, too
INSIDE_PX = 1.0  # so near to a picture's border no colour is taken
DEPTH_SLACK_M = 0.004
OCTAVE_DEG = 40.0  # a view from twice as far is as different as one from so much aside
LOOKED_AT = 6  # real pictures in which a point of the thing is looked for
LEAST_BARE = 200  # pixels of bare table that tell a picture's exposure


class ToolFilm:
    """Takes the pictures of new ways of one episode's tool."""

    def __init__(self, footage: ToolFootage, survey: Survey) -> None:
        moved = np.linalg.norm(footage.motion.object_m - footage.motion.object_m[0], axis=1) > 1e-6
        resting = int(np.argmax(moved)) if moved.any() else len(moved)
        self.footage, self.survey = aligned(footage, survey, resting), survey
        own, self.resting = footage.motion, range(resting)  # frames that show the thing where it lay
        self.views = np.stack([self._view(own, frame) for frame in self.resting])
        self._gains: dict[int, Float[np.ndarray, 3]] = {}
        self._depths: dict[int, Float[np.ndarray, "h w"]] = {}

    def shoot(self, motion: ToolMotion, frame: int, at: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame of a new way; `at` is the source's own frame, whose gripper and held thing it shows."""
        camera, table_m = self._camera(motion, frame), self.survey.mount.table_m
        real = self.footage.frames[at].astype(np.float32)
        table, known = self.survey.floor.seen_by(camera)
        shade = shadow_mask(self.footage, motion, frame, camera, self.survey.lab, table_m)
        table = table * light_left(shade, camera, self.survey.lab, table_m)[..., None] * self._gain(at)
        picture = np.where(known[..., None], table, real)
        own = self.footage.motion
        front = grown(arm_mask(own, at, self._camera(own, at), self.survey.lab), SHOWN_PX)
        if motion.held[frame]:
            front |= self._depth(at) < np.inf
        else:
            picture = self._with_object(picture, motion, frame, at)
        cover = cv2.GaussianBlur(front.astype(np.float32), (0, 0), EDGE_PX * camera.width / 160)[..., None]
        return np.clip(np.round(picture + cover * (real - picture)), 0, 255).astype(np.uint8)

    def _camera(self, motion: ToolMotion, frame: int) -> Camera:
        return self.survey.mount.camera(motion.tool[frame])

    def _view(self, motion: ToolMotion, frame: int) -> Float[np.ndarray, "3"]:
        """From where the thing is seen, in its own axes (m)."""
        return motion.turn[frame].T @ (self._camera(motion, frame).position_m - motion.object_m[frame])

    def _nearest(self, view: Float[np.ndarray, "3"]) -> list[int]:
        """Frames in which the thing rests where it lay, the most similar view first; of neighbours one."""
        lengths = np.linalg.norm(self.views, axis=1), np.linalg.norm(view)
        apart = np.degrees(np.arccos(np.clip(self.views @ view / (lengths[0] * lengths[1]), -1, 1)))
        apart = apart + OCTAVE_DEG * np.abs(np.log2(lengths[0] / lengths[1]))
        return [self.resting[which] for which in np.argsort(apart)[: 2 * LOOKED_AT : 2].tolist()]

    def _with_object(
        self, picture: Float[np.ndarray, "h w 3"], motion: ToolMotion, frame: int, at: int
    ) -> Float[np.ndarray, "h w 3"]:
        """The picture with the thing at rest in it."""
        shown = self._shown(motion, frame)
        y, x = np.nonzero(shown >= 0)
        colours, missing = np.zeros((len(y), 3), np.float32), np.ones(len(y), bool)
        for other in self._nearest(self._view(motion, frame)):
            if not missing.any():
                break
            found, colour = self._look(other, shown[y, x])
            colours[missing & found] = colour[missing & found]
            missing &= ~found
        if missing.all():
            return picture
        numbers = np.full(shown.shape, -1)
        numbers[y[~missing], x[~missing]] = np.flatnonzero(~missing)
        cover = cv2.GaussianBlur((shown >= 0).astype(np.float32), (0, 0), EDGE_PX * shown.shape[1] / 160)[..., None]
        return picture + cover * (colours[from_nearest(numbers)] * self._gain(at) - picture)

    def _shown(self, motion: ToolMotion, frame: int) -> Int[np.ndarray, "h w"]:
        """Which point of the thing each pixel shows; -1 beside it."""
        points = self.footage.object_points(motion, frame)
        return splat(points, self._camera(motion, frame), spacing_of(points), tight=True)

    def _look(self, at: int, which: Int[np.ndarray, " m"]) -> tuple[Bool[np.ndarray, " m"], Float[np.ndarray, "m 3"]]:
        """Whether points of the thing are seen in a real frame, and their colours there, at the map's exposure."""
        own = self.footage.motion
        camera = self._camera(own, at)
        points = self.footage.object_points(own, at)[which]
        pixels = np.nan_to_num(camera.project(points), nan=-10.0)
        inside = ((pixels >= INSIDE_PX) & (pixels <= np.array([camera.width, camera.height]) - 1 - INSIDE_PX)).all(1)
        x, y = np.round(np.where(inside[:, None], pixels, 0)).astype(int).T
        arm = grown(arm_mask(own, at, camera, self.survey.lab), 2 * SHOWN_PX)
        found = inside & ~arm[y, x] & (camera.depth_m(points) < self._depth(at)[y, x] + DEPTH_SLACK_M)
        maps = pixels.astype(np.float32)[None]
        colours = cv2.remap(self.footage.frames[at], maps, None, cv2.INTER_LINEAR)[0]
        return found, (colours / self._gain(at)).astype(np.float32)

    def _depth(self, at: int) -> Float[np.ndarray, "h w"]:
        """How far the thing is in a real frame, camera axis; endless beside it."""
        if at not in self._depths:
            own = self.footage.motion
            shown = self._shown(own, at)
            depth = self._camera(own, at).depth_m(self.footage.object_points(own, at))[shown]
            self._depths[at] = np.where(shown >= 0, depth, np.inf)
        return self._depths[at]

    def _gain(self, at: int) -> Float[np.ndarray, "3"]:
        """From the map's exposure to a real frame's."""
        if at not in self._gains:
            camera = self._camera(self.footage.motion, at)
            table, known = self.survey.floor.seen_by(camera)
            hidden = hidden_table(self.footage, at, camera, self.survey.lab, self.survey.mount.table_m)
            bare = known & ~hidden
            gain = np.ones(3)
            if bare.sum() >= LEAST_BARE:
                gain = np.median((self.footage.frames[at][bare] + 1.0) / (table[bare] + 1.0), axis=0)
            self._gains[at] = gain.astype(np.float32)
        return self._gains[at]
