"""Pictures of an arm in postures it never took, from real pixels of those it did.

Each pixel of the wanted posture belongs to a point of the arm's surface. That point is looked up in the real frame
that sees the links most nearly from the same side; where it is hidden there, in the next best frame of its link.
Source: Debevec et al. 1996, "Modeling and Rendering Architecture from Photographs" (view-dependent texture), on a
surface that bends at the joints.
"""

from collections import OrderedDict

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from m2iv_robot.arm.hand import EDGE_PX, OPENING_DEG, HandFilm
from m2iv_robot.arm.records import ArmFootage, ArmShot
from m2iv_robot.arm.shape import placed, splat
from m2iv_robot.masks import from_nearest

DEPTH_SLACK_M = 0.02  # between what is looked for and what is seen there
OBJECT_PX = 2  # around the object nothing is taken for the arm, for an image 320 wide
OTHERS = 6  # frames in which a point that is hidden in the first is looked for
APART_FRAMES = 3  # neighbouring frames hide the same
REMEMBERED = 400  # frames whose depth is kept
RIM_PX = 2  # so near to the outline a pixel may be the arm in part
SOLID = 0.9
BASE, SHOULDER = 0, 1  # links that move not at all, or turn in place: with a hand in one piece parts of the scene


class ArmFilm:
    """Takes pictures of an arm."""

    def __init__(self, footage: ArmFootage, hand: HandFilm | None = None) -> None:
        """`hand` is the footage's, where its cuts are made already."""
        self.footage = footage
        self.sides = self._sides(footage.poses)
        self.hand = HandFilm(footage) if hand is None and footage.hand is not None else hand
        self._pictures: OrderedDict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = OrderedDict()
        self._depths: OrderedDict[int, Float[np.ndarray, "h w"]] = OrderedDict()
        width = footage.camera.width
        self._around_object = np.ones((2 * round(OBJECT_PX * width / 320) + 1,) * 2, np.uint8)

    def only(self, frames: Int[np.ndarray, " m"]) -> "ArmFilm":
        """The same with some of the real frames."""
        footage = self.footage.only(frames)
        return ArmFilm(footage, None if self.hand is None else self.hand.only(frames, footage))

    def _sides(self, poses: Float[np.ndarray, "t l 4 4"]) -> Float[np.ndarray, "t l 3"]:
        """From where the camera sees each link, as a direction in the link's frame."""
        away = self.footage.camera.position_m - poses[..., :3, 3]
        away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
        return np.einsum("tlji,tlj->tli", poses[..., :3, :3], away)

    def angles(self, poses: Float[np.ndarray, "t l 4 4"]) -> Float[np.ndarray, "t n l"]:
        """Between the side of each link that a posture shows and the one that each real frame shows (degrees)."""
        cosines = np.einsum("tli,nli->tnl", self._sides(poses), self.sides)
        return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))

    def differences(
        self, poses: Float[np.ndarray, "t l 4 4"], opening: Float[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t n"]:
        """How differently each real frame shows the arm (degrees, mean over links), gripper included."""
        wider = OPENING_DEG * np.abs(opening[:, None] - self.footage.opening[None])
        return self.angles(poses).mean(-1) + wider

    def hand_differences(
        self, poses: Float[np.ndarray, "t l 4 4"], opening: Float[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t n"]:
        """How differently each real frame shows a hand in one piece (see `HandFilm.differences`)."""
        return self.hand.differences(poses, opening, self.angles(poses)[..., self.footage.hand])

    def shoot(
        self, pose: Float[np.ndarray, "l 4 4"], opening: float, first: int, hand_frame: int | None = None
    ) -> ArmShot:
        """The arm in a posture, from frame `first` as far as that shows it; its hand, if one piece, as in another."""
        shot = self._by_surface(pose, opening, first)
        if self.hand is None:
            return shot
        if hand_frame is None:
            hand_frame = int(self.hand_differences(pose[None], np.array([opening]))[0].argmin())
        picture = self._layers(hand_frame)[0] / self.footage.gains[hand_frame].astype(np.float32)
        return self.hand.over(shot, self.hand.shoot(pose, hand_frame, picture))

    def _by_surface(self, pose: Float[np.ndarray, "l 4 4"], opening: float, first: int) -> ArmShot:
        """Every link that is not of a hand in one piece."""
        surface, camera = self.footage.surface, self.footage.camera
        points = placed(surface, pose)
        shown = splat(points, camera, surface.spacing_m) if self.hand is None else self._without_hand(points)
        y, x = np.nonzero(shown >= 0)
        which = shown[y, x]
        colours, cover = np.zeros((len(y), 3), np.float32), np.zeros(len(y), np.float32)
        missing = np.ones(len(y), bool)
        if not len(y):
            nothing = np.zeros(shown.shape, np.float32)
            return ArmShot(np.zeros((*shown.shape, 3), np.float32), nothing, nothing + np.inf, nothing > 0)
        beside = np.stack([x, y], axis=1) - camera.project(points)[which]
        target = camera.depth_m(points)[which]
        inner = cv2.erode((shown >= 0).astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8))[y, x] > 0
        for frame, links in self._plan(pose, opening, first):
            wanted = np.flatnonzero(missing & (links is None or surface.link[which] == links))
            if len(wanted):
                found, colour, alpha = self._look(frame, which[wanted], beside[wanted], target[wanted])
                found &= (alpha > SOLID) | ~inner[wanted]  # in the middle of the arm there is no edge
                colours[wanted[found]], cover[wanted[found]] = colour[found], alpha[found]
                missing[wanted[found]] = False
        shot = self._shot((y, x), colours, cover, missing)
        shot.depth_m[y, x] = target
        return shot

    def _without_hand(self, points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "h w"]:
        """Which point each pixel shows of the arm alone: nothing of its base, nor of a shoulder that stands still."""
        surface, camera, still = self.footage.surface, self.footage.camera, self.footage.still
        outline = splat(points, camera, surface.spacing_m, tight=True) >= 0
        alone = np.where((self.hand.part | (surface.link == BASE))[:, None], np.nan, points)
        shown = splat(alone, camera, surface.spacing_m)
        shown[~outline] = -1
        if still is not None:
            shown[still & (shown >= 0) & (surface.link[shown] == SHOULDER)] = -1
        return shown

    def _plan(self, pose: Float[np.ndarray, "l 4 4"], opening: float, first: int) -> list[tuple[int, int | None]]:
        """Frames in the order in which they are asked, and for which link (None: all)."""
        angles = self.angles(pose[None])[0]
        angles = angles + OPENING_DEG * np.abs(opening - self.footage.opening)[:, None]
        plan: list[tuple[int, int | None]] = [(first, None)]
        for link in np.unique(self.footage.surface.link):
            chosen: list[int] = []
            for frame in np.argsort(angles[:, link])[: 20 * OTHERS]:
                if all(abs(int(frame) - other) > APART_FRAMES for other in chosen):
                    chosen.append(int(frame))
                if len(chosen) == OTHERS:
                    break
            plan += [(frame, int(link)) for frame in chosen]
        return plan

    def _look(
        self,
        frame: int,
        which: Int[np.ndarray, " m"],
        beside: Float[np.ndarray, "m 2"],
        target: Float[np.ndarray, " m"],
    ) -> tuple[Bool[np.ndarray, " m"], Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
        """Where points are seen in a real frame, their colours there, and how much of the pixel is the arm."""
        footage, camera = self.footage, self.footage.camera
        pose, link = footage.poses[frame], footage.surface.link[which]
        turn, shift = pose[link, :3, :3], pose[link, :3, 3]
        points = np.einsum("mij,mj->mi", turn, footage.surface.points_m[which]) + shift
        depth = camera.depth_m(points)
        pixels = np.nan_to_num(camera.project(points), nan=-1e4) + beside * (target / np.maximum(depth, 1e-3))[:, None]
        facing = np.einsum("mij,mj->mi", turn, footage.surface.normals[which])
        facing = (facing * (camera.position_m - points)).sum(1) > 0
        columns, rows = (np.round(pixels[:, axis]).astype(int) for axis in (0, 1))
        inside = (columns >= 0) & (rows >= 0) & (columns < camera.width) & (rows < camera.height)
        columns, rows = columns.clip(0, camera.width - 1), rows.clip(0, camera.height - 1)
        front = self._depth(frame)[rows, columns]
        picture, soft, thing = self._layers(frame)
        found = inside & facing & (depth < front + DEPTH_SLACK_M) & ~thing[rows, columns]
        at = pixels.astype(np.float32)
        colours = cv2.remap(picture, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0] / footage.gains[frame]
        return found, colours.astype(np.float32), cv2.remap(soft, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0]

    def _layers(
        self, frame: int
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """A real frame's picture, its arm with a soft edge, and where the object is."""
        if frame not in self._pictures:
            footage = self.footage
            thing = cv2.dilate(footage.object[frame].numpy().astype(np.uint8), self._around_object) > 0
            soft = cv2.GaussianBlur(footage.actor[frame].numpy().astype(np.float32), (0, 0), EDGE_PX)
            picture = np.ascontiguousarray(footage.frames[frame].permute(1, 2, 0).numpy())
            self._pictures[frame] = (picture, soft, thing)
            while len(self._pictures) > REMEMBERED:
                self._pictures.popitem(last=False)
        return self._pictures[frame]

    def _depth(self, frame: int) -> Float[np.ndarray, "h w"]:
        """How far the arm is in a real frame, camera axis; endless beside it."""
        if frame not in self._depths:
            surface, camera = self.footage.surface, self.footage.camera
            points = placed(surface, self.footage.poses[frame])
            shown = splat(points, camera, surface.spacing_m)
            self._depths[frame] = np.where(shown >= 0, camera.depth_m(points)[shown], np.inf).astype(np.float32)
            while len(self._depths) > REMEMBERED:
                self._depths.popitem(last=False)
        return self._depths[frame]

    def _shot(
        self, at: tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]], colours: Float[np.ndarray, "m 3"],
        cover: Float[np.ndarray, " m"], missing: Bool[np.ndarray, " m"],
    ) -> ArmShot:  # fmt: skip
        """The picture; what no frame shows takes its neighbours' colours."""
        height, width = self.footage.camera.height, self.footage.camera.width
        picture, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
        picture[at], alpha[at] = colours, cover
        # colours go on beyond the edge, where the cover fades out
        known = np.zeros((height, width), bool)
        known[at] = ~missing & (cover > (0.5 if self.hand is None else SOLID))
        if known.any():
            source = from_nearest(np.where(known, np.arange(known.size).reshape(known.shape), -1))
            picture = picture.reshape(-1, 3)[source]
        alpha[at[0][missing], at[1][missing]] = 1.0
        if self.hand is not None:  # its masks' edges are off the surface's: the surface's own is whole
            alpha[at] = 1.0
            alpha = cv2.GaussianBlur(alpha, (0, 0), EDGE_PX)
        unseen = np.zeros((height, width), bool)
        unseen[at[0][missing], at[1][missing]] = True
        return ArmShot(picture, alpha, np.full((height, width), np.inf, np.float32), unseen)
