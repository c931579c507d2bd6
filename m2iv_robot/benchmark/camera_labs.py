"""How far a fitted camera puts things wrong on the table of a simulated lab, where no object has been.

Two fits, as planning has them: "object", on the held object, which is all that there is for a robot whose joints
are not known; "arm", on the outline of an arm with known joints.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from m2iv_robot.background import build_plate
from m2iv_robot.camera import Camera, CameraConfig, CameraFit, correspondences, fit_camera, join
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import EpisodeLabels
from m2iv_robot.data.simulation import SimulatedEpisode, SimulationConfig, simulate_episode
from m2iv_robot.errors import CameraError, M2IVError
from m2iv_robot.kinematics import Kinematics, RobotConfig, build_kinematics, find_phases
from m2iv_robot.plan.arm_camera import arm_camera_fits
from m2iv_robot.plan.records import SourceEpisode
from m2iv_robot.segmentation import Segmenter, load_segmenter, parse_segmentation
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory

UNVISITED_M = 0.03  # farther than this from every place where the object has been
GRID_M = 0.0125
OBJECT, ARM = "object", "arm"
FITS = (OBJECT, ARM)


def measure_labs(labs: int, annotated: int, episodes: int, segmentation: str, seed: int) -> dict:
    """Table error in unvisited places: of `labs` labs with exact masks, of `annotated` with found ones, too."""
    rows = []
    for scene in range(seed, seed + labs):
        settings = replace(
            preset(SimulationConfig, "simulation", "so101"), fps=10, wrist_width=0, scene_seed=scene, start_y_max=0.0
        )
        recorded = [simulate_episode(settings, 100 * scene + index) for index in range(episodes)]
        masks = {"exact": [episode.masks for episode in recorded]}
        if scene < seed + annotated:
            masks[segmentation] = found_masks(segmentation, recorded)
        rows += [lab_row(f"lab {scene}", kind, fit, recorded, masks[kind]) for kind in masks for fit in FITS]
    figures = {}
    for kind, fit in dict.fromkeys((row["masks"], row["fit"]) for row in rows):
        chosen = [row for row in rows if (row["masks"], row["fit"]) == (kind, fit)]
        figures[f"table_error_{fit}_{kind}_median_cm"] = float(np.mean([row["median_cm"] for row in chosen]))
        figures[f"table_error_{fit}_{kind}_p95_cm"] = float(np.max([row["p95_cm"] for row in chosen]))
    return figures | {"simulated": rows}


def found_masks(segmentation: str, episodes: list[SimulatedEpisode]) -> list[MaskTrajectory | None]:
    """Masks of a whole lab as annotation makes them: rough ones, one plate from them all, final ones.

    None for an episode that the segmenter gives up on.
    """
    segmenter = load_segmenter(parse_segmentation({"name": segmentation}))
    phases = [tuple(phases_of(simulated.episode)[1]) for simulated in episodes]
    rough = [segment(segmenter, item.episode, None, span) for item, span in zip(episodes, phases, strict=True)]
    usable = [(item.episode.frames, masks) for item, masks in zip(episodes, rough, strict=True) if masks is not None]
    plate = build_plate([frames for frames, _ in usable], [masks for _, masks in usable])
    return [segment(segmenter, item.episode, plate, span) for item, span in zip(episodes, phases, strict=True)]


def segment(segmenter: Segmenter, episode: Episode, plate, phases: tuple[EpisodePhases, ...]) -> MaskTrajectory | None:
    """Masks of one episode; None where the segmenter gives up."""
    try:
        return segmenter.segment(episode, plate, None, phases)
    except M2IVError:
        return None


def phases_of(episode: Episode) -> tuple[Kinematics, list[EpisodePhases]]:
    """The episode's kinematics, and when something is held."""
    kinematics = build_kinematics(RobotConfig(), episode.state_names, episode.action_names, episode.robot_type)
    positions = kinematics.forward(episode.state)[:, :3, 3]
    opening = kinematics.gripper_opening(episode.state)
    return kinematics, find_phases(opening, episode.fps, tool_positions_m=positions)


def lab_row(
    name: str, kind: str, method: str, episodes: list[SimulatedEpisode], masks: list[MaskTrajectory | None]
) -> dict:
    """Fit on all episodes of a lab and compare with its true camera."""
    pairs = [(episode, found) for episode, found in zip(episodes, masks, strict=True) if found is not None]
    kinematics, _ = phases_of(episodes[0].episode)
    fit, contacts = {OBJECT: object_fit, ARM: arm_fit}[method](kinematics, pairs)
    true = true_camera(episodes[0])
    places = unvisited(episodes, kinematics, true)
    reached = fit.camera.unproject(true.project(places), fit.support_height_m(contacts))
    error_cm = 100 * np.linalg.norm((reached - places)[:, :2], axis=1)
    return {
        "lab": name,
        "masks": kind,
        "fit": method,
        "episodes": len(pairs),
        "places": len(places),
        "median_cm": float(np.median(error_cm)),
        "p95_cm": float(np.percentile(error_cm, 95)),
        "worst_cm": float(error_cm.max()),
        "residual_px": fit.median_residual_px,
        "focal_error": float(fit.camera.focal_px / true.focal_px - 1),
    }


Pairs = list[tuple[SimulatedEpisode, MaskTrajectory]]


def object_fit(kinematics: Kinematics, pairs: Pairs) -> tuple[CameraFit, Float[np.ndarray, "n 4 4"]]:
    """The camera fitted to the held object, and the tool's poses where it takes and leaves it."""
    parts, contacts = [], []
    for simulated, found in pairs:
        _, phases = phases_of(simulated.episode)
        poses = kinematics.forward(simulated.episode.state)
        parts.append(correspondences(found, poses, phases, simulated.episode.fps))
        contacts += [poses[frame] for phase in phases for frame in (phase.grasp, phase.release - 1)]
    height, width = pairs[0][0].episode.frames.shape[-2:]
    tip_m = tuple(kinematics.config.finger_offset_m)
    return fit_camera(join(parts), (width, height), CameraConfig(), tip_m), np.stack(contacts)


def arm_fit(kinematics: Kinematics, pairs: Pairs) -> tuple[CameraFit, Float[np.ndarray, "n 4 4"]]:
    """The camera fitted to the arm's outline, and the tool's poses where it takes the object.

    Raises:
        CameraError: the outline does not fit the joints.
    """
    sources = []
    for simulated, found in pairs:
        episode = simulated.episode
        labels = EpisodeLabels(
            episode.dataset, episode.index, episode.state, episode.action, episode.state_names, episode.action_names,
            episode.fps, episode.task, episode.robot_type, len(episode.frames),
        )  # fmt: skip
        poses, phases = kinematics.forward(episode.state), tuple(phases_of(episode)[1])
        sources.append(SourceEpisode(labels, found, poses, phases, found.object[0], found.object[-1]))
    fits = arm_camera_fits(kinematics, sources, CameraConfig())
    if fits is None:
        raise CameraError(f"{kinematics.config.name}: the arm's outline does not fit its joints; see robot.*")
    return fits[0], np.stack([source.poses[source.phases[0].grasp] for source in sources])


def true_camera(episode: SimulatedEpisode) -> Camera:
    """The simulator's own camera."""
    height, width = episode.episode.frames.shape[-2:]
    pose = episode.world_to_camera
    return Camera(float(episode.intrinsics[0, 0]), width, height, pose[:3, :3], pose[:3, 3])


def unvisited(episodes: list[SimulatedEpisode], kinematics: Kinematics, camera: Camera) -> Float[np.ndarray, "n 3"]:
    """Places of an object's centre on the table: in view and within reach, away from where any has been."""
    box = SimulationConfig()
    x, y = np.meshgrid(
        np.arange(box.start_x_min, box.start_x_max, GRID_M), np.arange(box.start_y_min, box.start_y_max, GRID_M)
    )
    height_m = episodes[0].object_positions_m[0, 2]
    places = np.stack([x.ravel(), y.ravel(), np.full(x.size, height_m)], axis=1)
    places = places[kinematics.within_reach(places) & camera.visible(places)]
    been = np.concatenate([episode.object_positions_m[:, :2] for episode in episodes])
    distance = np.linalg.norm(places[:, None, :2] - been[None], axis=2).min(1)
    return places[distance > UNVISITED_M]
