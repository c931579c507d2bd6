"""The arm's outline as evidence for a camera: its balls belong inside the actor's mask, and cover what moves in it."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.tip import arm_tips

MARGIN_PX = 60  # around the picture in which an arm that leaves it is thought to go on
SAMPLES = 40  # pixels of each mask that must be covered
STANDING_SHARE = 0.9  # of the frames: pixels of a base, which no mask shows reliably
STANDING_M, STANDING_WEIGHT = 0.05, 0.5  # how little a standing ball moves, and how much it counts
BALL_SHARE = 0.85  # of a ball's radius that must be inside: the balls only about fill the arm
NEAREST_M = 0.08  # a ball nearer to the camera's plane is not seen as an arm
CLOSEST_M = 0.25  # of any ball to a camera
BEHIND_M = 0.3  # of a camera behind the base: there the robot would hide what it does
ABOVE_M = 0.1  # of a camera over the lowest place of the tool
FAR_PX = 12.0  # beyond which being farther off makes little difference; for an image 320 wide
SIGMA_PX = 4.0  # how far off an outline may be: cables, cameras and covers on the arm are not in its balls
VOTES = 6.0  # observations that one frame's outline counts for

PER_FRAME = ("poses", "balls_m", "outside_px", "samples_px", "tips_px")


@dataclass(frozen=True)
class Silhouettes:
    """The arm in n frames, in space and as it is seen."""

    poses: Float[np.ndarray, "n 4 4"]  # of the tool
    balls_m: Float[np.ndarray, "n k 3"]
    radii_m: Float[np.ndarray, " k"]
    outside_px: Float[np.ndarray, "n hp wp"]  # distance to the mask, negative inside; with a margin all around
    samples_px: Float[np.ndarray, "n s 2"]  # pixels of the mask; NaN where there are none
    tips_px: Float[np.ndarray, "n 2"]  # where its end seems to be; NaN unknown

    @property
    def tips_m(self) -> Float[np.ndarray, "n 3"]:
        """The ball at the arm's end."""
        return self.balls_m[:, -1]

    @property
    def stands(self) -> Bool[np.ndarray, " k"]:
        """Which balls hardly move: the base, which masks often leave out."""
        return np.linalg.norm(np.ptp(self.balls_m, axis=0), axis=1) < STANDING_M

    def residuals(self, camera: Camera) -> Float[np.ndarray, " r"]:
        """What does not fit, in units of its spread; each part stops growing where it is far off."""
        unit = camera.width / 320
        misfit = saturated(np.concatenate(self.misfit_px(camera), axis=1), FAR_PX * unit)
        misfit[:, : len(self.radii_m)] *= np.where(self.stands, STANDING_WEIGHT, 1.0)
        return misfit.ravel() * np.sqrt(VOTES / misfit.shape[1]) / (SIGMA_PX * unit)

    def misfit_px(self, camera: Camera) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n s"]]:
        """How far each ball is outside the mask, and each of the mask's pixels from any ball."""
        seen = self.balls_m @ camera.rotation.T + camera.translation
        depth = np.maximum(seen[..., 2], NEAREST_M / 2)
        pixels = camera.focal_px * seen[..., :2] / depth[..., None] + camera.centre_px
        radii = np.minimum(camera.focal_px / depth, 2 * camera.width) * self.radii_m
        out = np.maximum(self._look_up(pixels) + BALL_SHARE * radii, 0.0)
        half = np.array(self.outside_px.shape[:0:-1]) / 2
        beyond = (np.abs(pixels + MARGIN_PX - half) > half - 1).any(-1)
        out = np.where(seen[..., 2] < NEAREST_M, 10 * FAR_PX, np.where(beyond, 0.0, out))
        apart = np.linalg.norm(self.samples_px[:, :, None] - pixels[:, None], axis=-1) - radii[:, None]
        return out, np.nan_to_num(np.maximum(apart.min(2), 0.0))

    def _look_up(self, pixels: Float[np.ndarray, "n k 2"]) -> Float[np.ndarray, "n k"]:
        """The distance at each pixel, between its four neighbours."""
        height, width = self.outside_px.shape[1:]
        at = np.clip(pixels + MARGIN_PX, 0, (width - 1.01, height - 1.01))
        corner = at.astype(int)
        (right, down), (x, y) = np.moveaxis(at - corner, -1, 0), np.moveaxis(corner, -1, 0)
        row = np.arange(len(pixels))[:, None]
        upper = self.outside_px[row, y, x] * (1 - right) + self.outside_px[row, y, x + 1] * right
        lower = self.outside_px[row, y + 1, x] * (1 - right) + self.outside_px[row, y + 1, x + 1] * right
        return upper * (1 - down) + lower * down

    def every(self, step: int) -> "Silhouettes":
        """One of each `step` frames."""
        return replace(self, **{name: getattr(self, name)[::step] for name in PER_FRAME})

    def possible(self, camera: Camera) -> bool:
        """Whether a camera can be there: above where the tool reaches, not behind the robot, not in its arm."""
        place = camera.position_m
        sees = place[2] > self.tips_m[:, 2].min() + ABOVE_M and place[0] > -BEHIND_M
        return bool(sees and np.linalg.norm(self.balls_m - place, axis=-1).min() > CLOSEST_M)

    def fits(self, camera: Camera) -> float:
        """Share of the arm's balls and of the mask's pixels that are where the camera puts them."""
        out_px, bare_px = self.misfit_px(camera)
        limit = 2 * SIGMA_PX * camera.width / 320
        return float(np.concatenate([(out_px[:, ~self.stands] < limit).ravel(), (bare_px < limit).ravel()]).mean())


def saturated(values: Float[np.ndarray, "*n"], limit: float) -> Float[np.ndarray, "*n"]:
    """Values that come close to `limit` but never pass it."""
    return limit * np.tanh(values / limit)


def silhouettes(
    actor: Bool[Tensor, "n h w"],
    poses: Float[np.ndarray, "n 4 4"],
    balls_m: Float[np.ndarray, "n k 3"],
    radii_m: Float[np.ndarray, " k"],
) -> Silhouettes:
    """The arm in some frames: its masks, the poses of its tool and its balls."""
    masks = actor.cpu().numpy()
    standing = masks.mean(0) > STANDING_SHARE if len(masks) > 3 else np.zeros(masks.shape[1:], bool)
    generator = np.random.default_rng(0)
    return Silhouettes(
        poses,
        balls_m,
        radii_m,
        np.stack([outside(mask) for mask in masks]),
        np.stack([sampled(mask & ~standing, generator) for mask in masks]),
        ends(actor, standing),
    )


def join_silhouettes(parts: list[Silhouettes]) -> Silhouettes:
    """Those of several episodes of one camera pose and one arm."""
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_FRAME})


def outside(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "hp wp"]:
    """Distance to a mask, negative inside it, with a margin into which the mask is continued."""
    wide = cv2.copyMakeBorder(mask.astype(np.uint8), *(MARGIN_PX,) * 4, cv2.BORDER_REPLICATE)
    if not mask.any() or mask.all():
        return np.full(wide.shape, -10 * FAR_PX if mask.any() else 10 * FAR_PX)
    away, within = (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5) for side in (wide == 0, wide > 0))
    return (away - within).astype(np.float64)


def sampled(mask: Bool[np.ndarray, "h w"], generator: np.random.Generator) -> Float[np.ndarray, "s 2"]:
    """Pixels (x, y) of a mask."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.full((SAMPLES, 2), np.nan)
    chosen = generator.integers(len(rows), size=SAMPLES)
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)


def ends(actor: Bool[Tensor, "n h w"], standing: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"]:
    """The arm's tips; where no way through the arm leads to one, what is farthest from the picture's border."""
    tips = arm_tips(actor)
    for row in np.flatnonzero(np.isnan(tips[:, 0])):
        tips[row] = farthest(actor[row].cpu().numpy() & ~standing)
    return tips


def farthest(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, " 2"]:
    """The pixel farthest from where a mask meets the picture's border; NaN where it does not, or ends there."""
    border = mask.copy()
    border[1:-1, 1:-1] = False
    if not border.any():
        return np.full(2, np.nan)
    enters = np.argwhere(border).mean(0)
    at = np.argwhere(mask)
    distance = np.linalg.norm(at - enters, axis=1)
    tip = at[distance >= distance.max() - 3].mean(0)[::-1]
    size = np.array(mask.shape)[::-1]
    return np.full(2, np.nan) if (tip < 3).any() or (tip > size - 4).any() else tip
