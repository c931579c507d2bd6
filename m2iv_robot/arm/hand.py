"""A hand as it was seen, moved and turned as one piece: for grippers with hoses and cameras that no mesh has."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from m2iv_robot.arm.records import ArmFootage, ArmShot
from m2iv_robot.arm.shape import placed, splat
from m2iv_robot.masks import from_nearest

OPENING_DEG = 60.0  # as far off as a gripper that is open instead of closed counts
HIDDEN_DEG = 60.0  # as far off as a hand of which nothing is seen counts
AWAY_DEG = 0.25  # as far off as a hand counts that is seen a pixel away, in a picture 320 wide: before another scene
REACH_SHARE = 0.04  # of the picture's width: so far from its surface what is seen of the arm may be the hand
OVERLAP_PX = 2  # by which the cut through the wrist goes into the arm
HAND_HALF_M = 0.06  # from the middle of a hand to its sides: what of the arm is nearer stands before it
EDGE_PX = 0.8  # standard deviation of the soft edge of masks


class HandFilm:
    """Takes pictures of the links from `footage.hand` on."""

    def __init__(self, footage: ArmFootage, cuts: list[tuple[Bool[np.ndarray, "h w"], float]] | None = None) -> None:
        """`cuts`: every frame's mask of the hand, and the share of it that is hidden; None: they are made here."""
        self.footage, self.first = footage, footage.hand
        self.part = footage.surface.link >= self.first
        actors = footage.actor.numpy()
        self.cuts = [self._cut(*pair) for pair in zip(footage.poses, actors, strict=True)] if cuts is None else cuts
        self.hidden = np.array([hidden for _, hidden in self.cuts])
        own = footage.surface.points_m[footage.surface.link == self.first]
        reach = 2 * np.diag(own.std(0))
        self.handles_m = own.mean(0) + np.concatenate([np.zeros((1, 3)), reach, -reach])

    def only(self, frames: Int[np.ndarray, " m"], footage: ArmFootage) -> "HandFilm":
        """The same for some of the frames, which `footage` has."""
        return HandFilm(footage, [self.cuts[frame] for frame in frames])

    def _cut(
        self, pose: Float[np.ndarray, "l 4 4"], actor: Bool[np.ndarray, "h w"]
    ) -> tuple[Bool[np.ndarray, "h w"], float]:
        """The hand's part of an arm's mask, and the share of its surface that is not seen there."""
        link = self._links(pose)
        hand, arm = link >= self.first, (link >= 0) & (link < self.first)
        if not hand.any():
            return np.zeros_like(actor), 1.0
        away = _distance(hand)
        near = away <= REACH_SHARE * self.footage.camera.width
        if arm.any():
            near &= away <= _distance(arm) + OVERLAP_PX
        return actor & near, float((hand & ~actor).sum() / hand.sum())

    def _links(self, pose: Float[np.ndarray, "l 4 4"]) -> np.ndarray:
        """Which link each pixel shows; -1 where none."""
        surface = self.footage.surface
        shown = splat(placed(surface, pose), self.footage.camera, surface.spacing_m, tight=True)
        return np.where(shown >= 0, surface.link[shown], -1)

    def _handles(self, pose: Float[np.ndarray, "l 4 4"]) -> np.ndarray:
        """Pixels of the hand's middle and of points around it, as complex numbers."""
        hand = pose[self.first]
        pixels = self.footage.camera.project(self.handles_m @ hand[:3, :3].T + hand[:3, 3])
        return pixels[:, 0] + 1j * pixels[:, 1]

    def differences(
        self, poses: Float[np.ndarray, "t l 4 4"], opening: Float[np.ndarray, " t"], angles: Float[np.ndarray, "t n"]
    ) -> Float[np.ndarray, "t n"]:
        """How differently each real frame shows the hand (degrees): `angles` between the sides, and all the rest."""
        wider = OPENING_DEG * np.abs(opening[:, None] - self.footage.opening[None])
        wanted, real = (
            np.array([self._handles(pose).mean() for pose in those]) for those in (poses, self.footage.poses)
        )
        width = self.footage.camera.width
        away = np.nan_to_num(np.abs(wanted[:, None] - real[None]), nan=width) * 320 / width  # NaN: behind the camera
        return angles + wider + HIDDEN_DEG * self.hidden + AWAY_DEG * away

    def shoot(self, pose: Float[np.ndarray, "l 4 4"], frame: int, picture: Float[np.ndarray, "h w 3"]) -> ArmShot:
        """The hand alone in a posture, out of the picture of a real frame."""
        here, there = self._handles(self.footage.poses[frame]), self._handles(pose)
        camera = self.footage.camera
        nothing = np.zeros((camera.height, camera.width), np.float32)
        endless = np.full_like(nothing, np.inf)
        if not (np.isfinite(here).all() and np.isfinite(there).all()):
            return ArmShot(np.zeros((*nothing.shape, 3), np.float32), nothing, endless, nothing > 0)
        away, wanted = here - here.mean(), there - there.mean()
        turn = (np.conj(wanted) * away).sum() / (np.abs(wanted) ** 2).sum()  # the least squares' similarity, backwards
        x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        source = (here.mean() + turn * (x + 1j * y - there.mean())).astype(np.complex64)
        columns, rows = np.ascontiguousarray(source.real), np.ascontiguousarray(source.imag)
        cut, _ = self.cuts[frame]
        solid = cv2.erode(cut.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if solid.any():  # its edge has colours of what was behind it there
            nearest = from_nearest(np.where(solid, np.arange(solid.size).reshape(solid.shape), -1))
            picture = picture.reshape(-1, 3)[nearest]
        soft = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), EDGE_PX)
        cover = cv2.remap(soft, columns, rows, cv2.INTER_LINEAR)  # nothing beyond the picture
        colours = cv2.remap(
            picture.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        tool = pose[self.first]
        centre = tool[:3, :3] @ self.handles_m[0] + tool[:3, 3]
        depth = np.where(cover > 0, camera.depth_m(centre[None])[0], np.inf).astype(np.float32)
        return ArmShot(colours, cover, depth, nothing > 0)

    def over(self, arm: ArmShot, hand: ArmShot) -> ArmShot:
        """The hand put before the arm, but for what of the arm is before it."""
        behind = arm.depth_m < hand.depth_m - HAND_HALF_M
        cover = hand.cover * ~(behind & (arm.cover > 0.5))
        colours = arm.colours + cover[..., None] * (hand.colours - arm.colours)
        whole = np.maximum(arm.cover, cover)
        depth = np.where(cover > 0.5, hand.depth_m, arm.depth_m)
        return ArmShot(colours.astype(np.float32), whole, depth, arm.unseen & (cover <= 0.5))


def _distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Pixels to the nearest one of a mask."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
