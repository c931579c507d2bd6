"""A camera from how an arm with known joints looks: its outline in every frame against the actor's mask.

Nothing has to be picked up, nor its centre be seen: every frame in which the arm stands somewhere is a measurement of
all of it. The arm is a string of beads along its joints; where they lie on their links and how large they are is
learned with the camera, so neither meshes nor a start are needed. Soft outlines have derivatives: Liu et al. 2019,
"Soft Rasterizer", section 3.2, here with the beads' distance in the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation
from torch import Tensor

from m2iv_robot.camera import Camera, CameraConfig

BEADS = 5  # on the way from one joint to the next
BEAD_M = 0.025  # their radius before anything is known
BEAD_SPREAD = 1.0  # of the radius, as a ratio's logarithm
AWAY_M = 0.03  # from the straight line between joints
LEANING = 0.02  # how much beads that are as usual count, in nats of a pixel
AZIMUTHS, ELEVATIONS_DEG = 12, (20.0, 50.0)  # places around the arm from which the search starts
AROUND_PX = 20  # beyond a mask in which pixels are drawn more densely, for an image 320 wide
INSIDE, BESIDE = 0.5, 0.35  # share of the pixels that are drawn in a mask, and just around it
MOST_SURE = 6.0  # log odds of one pixel: masks have errors, too
LEAST_DEPTH_M = 0.05
SEED = 0


@dataclass(frozen=True)
class SeenArm:
    """An arm's masks and where its links were."""

    poses: Float[np.ndarray, "t l 4 4"]  # base frame, the joints from the base on, the tool
    actor: Bool[Tensor, "t h w"]
    ignore: Bool[Tensor, "t h w"]  # pixels that say nothing about the arm: the object before it


@dataclass(frozen=True)
class Beads:
    """A rough body: balls on the links."""

    link: Int[np.ndarray, " k"]
    centres_m: Float[np.ndarray, "k 3"]  # in the frames of the links
    radii_m: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class OutlineFit:
    """A camera, the body that was learned with it, and how well its outline meets the masks."""

    camera: Camera
    beads: Beads
    surprise: float  # mean cross entropy of the pixels drawn, nats; half of them are near the arm


@dataclass(frozen=True)
class Stage:
    """One pass of the search, from coarse to fine."""

    keep: int  # starts that are carried on
    frames: int
    pixels: int  # drawn in every frame
    steps: int
    rate: float
    softness_px: tuple[float, float]  # at its begin and end, for an image 320 wide
    learn: bool = True  # the beads, too


STAGES = (
    Stage(24, frames=16, pixels=120, steps=110, rate=0.02, softness_px=(12.0, 4.0), learn=False),
    Stage(4, frames=40, pixels=240, steps=180, rate=0.01, softness_px=(5.0, 1.5)),
    Stage(1, frames=80, pixels=400, steps=250, rate=0.003, softness_px=(2.0, 1.0)),
)


def fit_outline(seen: SeenArm, config: CameraConfig, stages: tuple[Stage, ...] = STAGES) -> OutlineFit:
    """The camera under which the arm's outline is most nearly the actor's mask.

    Starts from places all around the arm, keeps the best, and looks ever more closely. A shift of the whole picture
    and one of all beads against their joints are hard to tell apart: the camera may be off by about a bead's radius,
    the same everywhere.
    """
    link, centres = string_of_beads(seen.poses)
    cameras = torch.as_tensor(np.stack(around(seen, config)), dtype=torch.float32)
    away, size = torch.zeros(len(cameras), len(link), 3), torch.full((len(cameras), len(link)), float(np.log(BEAD_M)))
    surprise = torch.zeros(len(cameras))
    for stage in stages:
        best = surprise.argsort()[: stage.keep]
        search = Search(seen, (link, centres), stage, config)
        (cameras, away, size), surprise = search.run(cameras[best], away[best], size[best])
    first = int(surprise.argmin())
    values = cameras[first].double().numpy()
    height, width = seen.actor.shape[1:]
    rotation = Rotation.from_rotvec(values[1:4]).as_matrix()
    beads = Beads(link, centres + away[first].double().numpy(), np.exp(size[first].double().numpy()))
    return OutlineFit(Camera(float(np.exp(values[0])), width, height, rotation, values[4:7].copy()), beads,
                      float(surprise[first]))  # fmt: skip


def string_of_beads(poses: Float[np.ndarray, "t l 4 4"]) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k 3"]]:
    """Links and places (in their frames) of beads on the straight ways between the joints."""
    shares = (np.arange(BEADS) + 0.5) / BEADS
    ways = [(np.linalg.inv(here) @ there)[:3, 3] for here, there in zip(poses[0, :-1], poses[0, 1:], strict=True)]
    return np.repeat(np.arange(len(ways)), BEADS), np.concatenate([shares[:, None] * way for way in ways])


def around(seen: SeenArm, config: CameraConfig) -> list[Float[np.ndarray, " 7"]]:
    """Cameras (log focal, rotation vector, translation) all around the arm that see it as large as the masks are."""
    height, width = seen.actor.shape[1:]
    places = seen.poses[..., :3, 3].reshape(-1, 3)
    rows, columns = torch.nonzero(seen.actor.any(0), as_tuple=True)
    extent_px = max(float(rows.max() - rows.min()), float(columns.max() - columns.min()), 1.0)
    centre_px = np.array([float(columns.float().mean()), float(rows.float().mean())])
    focal = config.focal_usual * width
    middle, distance = places.mean(0), focal * max(float(np.ptp(places, axis=0).max()), 0.1) / extent_px
    found = []
    for azimuth in np.arange(AZIMUTHS) * 2 * np.pi / AZIMUTHS:
        for elevation in np.radians(ELEVATIONS_DEG):
            level = np.cos(elevation)
            towards = -np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)])
            right = np.cross(towards, [0.0, 0.0, 1.0])
            right /= np.linalg.norm(right)
            rotation = np.stack([right, np.cross(towards, right), towards])
            shift = -rotation @ (middle - distance * towards)
            shift[:2] += (centre_px - [(width - 1) / 2, (height - 1) / 2]) * distance / focal
            found.append(np.concatenate([[np.log(focal)], Rotation.from_matrix(rotation).as_rotvec(), shift]))
    return found


class Search:
    """The frames and pixels of one stage, and the descent on them."""

    def __init__(
        self, seen: SeenArm, beads: tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k 3"]], stage: Stage,
        config: CameraConfig,
    ) -> None:  # fmt: skip
        self.stage, self.config = stage, config
        self.height, self.width = seen.actor.shape[1:]
        frames = apart(seen.poses[..., :3, 3].reshape(len(seen.poses), -1), stage.frames)
        poses = single(seen.poses[frames][:, beads[0]])
        self.turn, self.shift, self.places = poses[..., :3, :3], poses[..., :3, 3], single(beads[1])
        generator = np.random.default_rng(SEED)
        drawn = [draw_pixels(seen.actor[at].numpy(), seen.ignore[at].numpy(), stage.pixels, generator) for at in frames]
        self.pixels, self.inside = (single(np.stack([one[place] for one in drawn])) for place in (0, 1))

    def run(
        self, cameras: Float[Tensor, "b 7"], away: Float[Tensor, "b k 3"], size: Float[Tensor, "b k"]
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Float[Tensor, " b"]]:
        """Adam on all starts at a time; where they end, and their surprise."""
        stage = self.stage
        unknowns = [values.clone().requires_grad_() for values in (cameras, away, size)]
        rates = (stage.rate, 0.1 * stage.rate * stage.learn, stage.rate * stage.learn)
        groups = [{"params": [values], "lr": rate} for values, rate in zip(unknowns, rates, strict=True)]
        optimizer = torch.optim.Adam(groups)
        first, last = (softness * self.width / 320 for softness in stage.softness_px)
        for step in range(stage.steps):
            softness = first * (last / first) ** (step / max(1, stage.steps - 1))
            optimizer.zero_grad()
            self.surprise(*unknowns, softness).sum().backward()
            optimizer.step()
        with torch.no_grad():
            return tuple(values.detach() for values in unknowns), self.surprise(*unknowns, last)

    def surprise(
        self, cameras: Float[Tensor, "b 7"], away: Float[Tensor, "b k 3"], size: Float[Tensor, "b k"], softness: float
    ) -> Float[Tensor, " b"]:
        """Mean cross entropy of the pixels, and what is usual of camera and beads."""
        focal = cameras[:, 0].exp()
        points = torch.einsum("fkij,bkj->bfki", self.turn, self.places + away) + self.shift
        placed = torch.einsum("bij,bfkj->bfki", rotations(cameras[:, 1:4]), points) + cameras[:, None, None, 4:7]
        scale = focal[:, None, None] / placed[..., 2].clamp_min(LEAST_DEPTH_M)
        centres = scale[..., None] * placed[..., :2] + torch.tensor([(self.width - 1) / 2, (self.height - 1) / 2])
        reach = (scale * size.exp()[:, None])[:, :, None]
        distance = (self.pixels[None, :, :, None] - centres[:, :, None]).square().sum(-1).add(1e-9).sqrt()
        log_odds = torch.logsumexp((reach - distance) / softness, dim=-1).clamp(-MOST_SURE, MOST_SURE)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(
            log_odds, self.inside.expand_as(log_odds), reduction="none"
        ).mean((1, 2))
        behind = (LEAST_DEPTH_M - placed[..., 2]).clamp_min(0).mean((1, 2))
        beads = (away.square().sum(-1) / AWAY_M**2 + ((size - np.log(BEAD_M)) / BEAD_SPREAD).square()).mean(1)
        usual = float(np.log(self.config.focal_usual * self.width))
        lens = 0.5 * ((cameras[:, 0] - usual) / self.config.focal_spread).square()
        return entropy + 50.0 * behind + LEANING * (beads + lens)


def draw_pixels(
    actor: Bool[np.ndarray, "h w"], ignore: Bool[np.ndarray, "h w"], count: int, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Pixels (x, y) in the mask, around it and anywhere else, and whether the arm covers each."""
    reach = 2 * max(1, round(AROUND_PX * actor.shape[1] / 320)) + 1
    near = cv2.dilate(actor.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    regions = (actor & ~ignore, near & ~actor & ~ignore, ~near & ~ignore)
    shares = np.array([INSIDE, BESIDE, 1 - INSIDE - BESIDE]) * [region.any() for region in regions]
    counts = np.floor(count * shares / shares.sum()).astype(int)
    counts[counts.argmax()] += count - counts.sum()
    places = []
    for region, number in zip(regions, counts, strict=True):
        rows, columns = np.nonzero(region)
        chosen = generator.integers(len(rows), size=number) if number else np.zeros(0, int)
        places.append(np.stack([columns[chosen], rows[chosen]], axis=1))
    drawn = np.concatenate(places)
    return drawn.astype(np.float64), actor[drawn[:, 1], drawn[:, 0]].astype(np.float64)


def apart(points: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, " m"]:
    """Up to `count` of the points, each as far from those chosen before as can be."""
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen)


def rotations(vectors: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotation matrices of rotation vectors."""
    zero = torch.zeros_like(vectors[:, 0])
    x, y, z = vectors.unbind(1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)


def single(values: Float[np.ndarray, "..."]) -> Float[Tensor, "..."]:
    """In single precision."""
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
