"""Pictures of an arm in postures it never took, against the simulator's: posed by its joints, bent, and left as it is.

Episodes whose object starts in one half of the table are the footage; frames of episodes in the other half are asked
for. Camera, light and pictures come from the footage's pixels and joints alone; masks are the simulator's.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.arm import ArmFilm, ArmFootage, SeenArm, align, fit_outline
from m2iv_robot.augment.handles import arm_points_m, projected
from m2iv_robot.augment.matching import arm_distance
from m2iv_robot.background import exposure_gains
from m2iv_robot.camera import Camera, CameraConfig, CameraFit
from m2iv_robot.config import preset
from m2iv_robot.data.simulation import SimulatedEpisode, SimulationConfig, simulate_episode
from m2iv_robot.errors import ConfigError
from m2iv_robot.generation.deformation import bend_field, pull
from m2iv_robot.kinematics import JointKinematics, RobotConfig
from m2iv_robot.types import Plate

WAYS = ("posed", "bent", "nearest")
HARD_DEG = 10.0  # a posture is hard when no real frame shows its links from a side nearer than this


@dataclass(frozen=True)
class ArmBenchmarkConfig:
    """configs/benchmark/arm.yaml: how much is measured."""

    labs: int = 2  # each with its own table, light, camera and colours
    first_lab: int = 100
    episodes: int = 6  # of footage in each lab
    tests: int = 2  # episodes in the other half
    every: int = 6  # so many frames of them

    def __post_init__(self) -> None:
        if min(self.labs, self.episodes, self.tests, self.every) < 1:
            raise ConfigError("benchmark.arm: labs, episodes, tests and every must be at least 1")


def run(config: ArmBenchmarkConfig) -> dict:
    """Overlap of the arm's outline, and error of its pixels, for each way; the camera's error on the table."""
    rows, labs = [], []
    for lab in range(config.first_lab, config.first_lab + config.labs):
        studio = Studio.of(config, lab)
        asked = studio.asked(config)
        rows += asked
        labs.append(
            {"lab": lab, "surprise": studio.surprise, "table_error_cm": studio.table_error_cm(), **means(asked)}
        )
    hard = [row for row in rows if row["side_deg"] > HARD_DEG]
    return {"frames": len(rows), **means(rows), "hard_frames": len(hard), **means(hard, "hard_"), "labs": labs}


def means(rows: list[dict], before: str = "") -> dict:
    """Mean and worst of all figures of the rows."""
    found = {}
    for way in WAYS if rows else ():
        overlaps = [row[f"{way}_iou"] for row in rows]
        found[f"{before}{way}_iou"] = round(float(np.mean(overlaps)), 3)
        found[f"{before}{way}_iou_worst"] = round(float(np.min(overlaps)), 3)
        found[f"{before}{way}_psnr_db"] = round(float(np.mean([row[f"{way}_psnr"] for row in rows])), 2)
    return found


@dataclass(frozen=True)
class Studio:
    """One lab: what was recorded of it, and what was made of that."""

    settings: SimulationConfig
    kinematics: JointKinematics
    truth: SimulatedEpisode
    plate: Plate
    film: ArmFilm
    states: Float[Tensor, "n s"]
    surprise: float

    @classmethod
    def of(cls, config: ArmBenchmarkConfig, lab: int) -> "Studio":
        """Record the footage, fit the camera, get the film ready."""
        shipped = preset(SimulationConfig, "simulation", "so101")
        settings = replace(shipped, scene_seed=lab, wrist_width=0, start_y_max=0.0)
        recorded = [simulate_episode(settings, 1000 * lab + number) for number in range(config.episodes)]
        episodes = [one.episode for one in recorded]
        states = torch.cat([episode.state for episode in episodes])
        frames = torch.cat([episode.frames for episode in episodes])
        actor, thing = (torch.cat([getattr(one.masks, part) for one in recorded]) for part in ("actor", "object"))
        kinematics = JointKinematics(preset(RobotConfig, "robot", "so101"), episodes[0].state_names)
        base = np.broadcast_to(np.eye(4), (len(states), 1, 4, 4))
        skeleton = [base, kinematics.joint_poses(states), kinematics.forward(states)[:, None]]
        fit = fit_outline(SeenArm(np.concatenate(skeleton, axis=1), actor, thing), CameraConfig())
        links = kinematics.link_poses(states)
        camera = align(fit.camera, kinematics.surface, links, (actor, thing))
        plate = recorded[0].plate
        gains = 1 / exposure_gains(frames, plate.image, actor | thing).double().numpy()
        opening = kinematics.gripper_opening(states)
        footage = ArmFootage(frames, actor, thing, links, opening, gains, kinematics.surface, camera)
        return cls(settings, kinematics, recorded[0], plate, ArmFilm(footage), states, fit.surprise)

    def table_error_cm(self) -> float:
        """How far off points of the start region come back through the fitted camera (median)."""
        height, width = self.truth.plate.known.shape
        pose = self.truth.world_to_camera
        true = Camera(float(self.truth.intrinsics[0, 0]), width, height, pose[:3, :3], pose[:3, 3])
        region = self.settings
        across = np.linspace(region.start_x_min, region.start_x_max, 5)
        along = np.linspace(-abs(region.start_y_min), abs(region.start_y_min), 5)
        points = np.stack([*(grid.ravel() for grid in np.meshgrid(across, along)), np.zeros(25)], axis=1)
        back = self.film.footage.camera.unproject(true.project(points), 0.0)
        return round(100 * float(np.median(np.linalg.norm(back - points, axis=1))), 2)

    def asked(self, config: ArmBenchmarkConfig) -> list[dict]:
        """A row for each frame that is asked for."""
        other = replace(self.settings, start_y_min=0.0, start_y_max=abs(self.settings.start_y_min))
        rows = []
        for number in range(config.tests):
            wanted = simulate_episode(other, 1000 * other.scene_seed + 500 + number)
            chosen = torch.arange(0, wanted.episode.length, config.every)
            states = wanted.episode.state[chosen]
            poses, opening = self.kinematics.link_poses(states), self.kinematics.gripper_opening(states)
            sides = self.film.differences(poses, opening)
            bends, points, real = self._bends(states)
            for at, frame in enumerate(chosen.tolist()):
                true, mask = wanted.episode.frames[frame], wanted.masks.actor[frame].numpy()
                shot = self.film.shoot(poses[at], float(opening[at]), int(sides[at].argmin()))
                near = int(bends[at].argmin())
                made = {
                    "posed": (shot.colours, shot.cover),
                    "bent": self._real(near, (real[near], points[at])),
                    "nearest": self._real(near, None),
                }
                row = {"side_deg": float(sides[at].min())}
                for way, (colours, cover) in made.items():
                    row[f"{way}_iou"], row[f"{way}_psnr"] = self._score((colours, cover), true, mask)
                rows.append(row)
        return rows

    def _bends(self, states: Float[Tensor, "t s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How far each real arm is from each wanted one (px), and the points of both."""
        nothing = np.zeros((0, 2))
        fit = CameraFit(self.film.footage.camera, np.zeros(3), np.zeros(3), {}, nothing, np.zeros(0, bool),
                        np.zeros((10, 10)))  # fmt: skip
        wanted, real = (projected(fit, arm_points_m(self.kinematics, part, fit)) for part in (states, self.states))
        openings = tuple(self.kinematics.gripper_opening(part) for part in (states, self.states))
        return arm_distance(wanted, real, openings), wanted, real

    def _real(
        self, frame: int, points: tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, "k 2"]] | None
    ) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
        """A real arm, bent so that its points lie at the wanted ones."""
        picture = self.film.footage.frames[frame].permute(1, 2, 0).numpy().astype(np.float32)
        cover = self.film.footage.actor[frame].numpy().astype(np.float32)
        if points is None:
            return picture, cover
        near = np.isfinite(points[0]).all(1) & np.isfinite(points[1]).all(1)
        field = bend_field(points[0][near], points[1][near], *cover.shape)
        return pull(picture, field), pull(cover, field)

    def _score(
        self, made: tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]], true: UInt8[Tensor, "3 h w"],
        mask: Bool[np.ndarray, "h w"],
    ) -> tuple[float, float]:  # fmt: skip
        """Overlap with the true arm, and PSNR (dB) where either is, both on the bare scene."""
        colours, cover = made
        bare = self.plate.image.permute(1, 2, 0).numpy().astype(np.float32)
        drawn = bare + cover[..., None] * (colours - bare)
        wanted = np.where(mask[..., None], true.permute(1, 2, 0).numpy(), bare)
        either = (cover > 0.5) | mask
        error = float(((drawn - wanted)[either] ** 2).mean())
        return float(((cover > 0.5) & mask).sum() / max(1, either.sum())), 10 * float(
            np.log10(255**2 / max(error, 1e-6))
        )
