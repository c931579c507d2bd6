"""Fitting a pinhole camera to tool poses and the pixels that show a point fixed in the tool frame."""

import dataclasses
import logging

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.problem import POSE, FitProblem
from m2iv_robot.camera.records import CameraFit, Correspondences
from m2iv_robot.camera.silhouette import Silhouettes
from m2iv_robot.camera.starts import arm_starts, point_starts, search
from m2iv_robot.camera.uncertainty import table_sigma_m
from m2iv_robot.errors import CameraError

logger = logging.getLogger(__name__)

SPREAD_SHARES = (0.1, 0.25, 0.5, 1.0)  # of the configured grasp_spread_m
STEPS, MOST_STEPS, STEPS_WITH_ARM = 60, 200, 60
POINT_VOTES = 20.0  # that all of the object's points have against the arm's outline
CONTRADICTING_PX = 24.0  # between a point and where the arm alone says it is; for an image 320 wide
SEARCH_FRAMES = 6  # of the arm, to begin with
LEAST_LOSS = 0.04  # of the arm's fit at which the object's points are taken for wrong
LEAST_FIT = 0.7  # of the arm: below it the robot's body is another than its configuration's
SWEEP_ADVICE = "record a sweep: the empty gripper moved about in view, near and far, low and high, for a minute"


def fit_camera(
    data: Correspondences,
    size: tuple[int, int],
    config: CameraConfig | None = None,
    finger_offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    arm: Silhouettes | None = None,
) -> CameraFit:
    """Camera, and where the tracked points lie in the tool frame, by robust geometric error; `size` is width, height.

    `finger_offset_m` is where the fingertips are in the tool frame, to a few centimetres. Starts from several focal
    lengths with every pose that PnP finds for each, and where the `arm` is known from poses that make it look right;
    keeps the best, then lets the object lie a little different in every grasp.

    Raises:
        CameraError: too few points, points on a line, no consistent camera, or too uncertain a one.
    """
    config = config or CameraConfig()
    problem = FitProblem(data, size, np.asarray(finger_offset_m, dtype=float), config, groups=(), arm=arm)
    if arm is None:
        check_spread(data, config)
        candidates = [problem.solve(start, STEPS) for start in point_starts(problem)]
    else:
        problem, candidates = begin_with_arm(problem)
    if not candidates:
        raise CameraError(f"no camera pose explains the {len(data)} points; {SWEEP_ADVICE}")
    begun = min(candidates, key=lambda result: result.cost)
    problem, result = let_groups_differ(problem, begun.x)
    fit = summarise(problem, result)
    if arm is not None and spoiled(fit, arm, problem.camera(begun.x), config):
        problem = without_points(problem)
        fit = summarise(problem, begun)
    if arm is not None and (share := arm.fits(fit.camera)) < LEAST_FIT:
        logger.warning("only %.0f%% of the arm is seen where its URDF has it: its outline is left out", 100 * share)
        return fit_camera(data, size, config, finger_offset_m)
    check_residual(fit, problem.data, config)
    check_table(fit, problem.data, config, arm)
    return fit


def rough_camera(
    data: Correspondences,
    size: tuple[int, int],
    config: CameraConfig,
    finger_offset_m: tuple[float, float, float],
    arm: Silhouettes,
) -> Camera | None:
    """The camera under which an arm's balls look most nearly as its masks, however nearly; None where none is possible.

    A start for something more exact. `data` (there may be none) helps where it does not contradict the arm; `size` is
    width, height.
    """
    offset = np.asarray(finger_offset_m, dtype=float)
    problem, candidates = begin_with_arm(FitProblem(data, size, offset, config, groups=(), arm=arm))
    return problem.camera(candidates[0].x) if candidates else None


def begin_with_arm(problem: FitProblem) -> tuple[FitProblem, list[OptimizeResult]]:
    """A first fit of the arm alone, and the problem without the points that contradict it: a mistaken object's."""
    begun = point_starts(problem) if len(problem.data) >= problem.config.min_points else []
    alone = without_points(problem)
    some = problem.arm.every(max(1, len(problem.arm.poses) // SEARCH_FRAMES))
    found = search(dataclasses.replace(alone, arm=some), some, begun + arm_starts(problem, some))
    solved = [alone.solve(result.x, STEPS_WITH_ARM) for result in found]
    found = [result for result in solved if problem.arm.possible(problem.camera(result.x))]
    if not found:
        return alone, []
    best = min(found, key=lambda result: result.cost + POINT_VOTES * (1 - agreeing(problem, result.x).mean()))
    return dataclasses.replace(problem, data=problem.data.take(agreeing(problem, best.x)[: len(problem.data)] > 0.5)), [
        best
    ]


def agreeing(problem: FitProblem, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, " n"]:
    """How well each of the object's points goes with a camera, in [0, 1]; one whole point where there are none."""
    if not len(problem.data):
        return np.ones(1)
    apart_px = np.linalg.norm(problem.residual_px(unknowns), axis=1) * 320 / problem.size[0]
    return np.exp2(-np.square(apart_px / CONTRADICTING_PX))


def spoiled(fit: CameraFit, arm: Silhouettes, before: Camera, config: CameraConfig) -> bool:
    """Whether the object's points and the arm's outline do not go together."""
    missed_px = np.linalg.norm(fit.residual_px, axis=1)
    apart = len(missed_px) and np.median(missed_px) > config.max_residual_px * before.width / 320
    return bool(apart) or arm.fits(fit.camera) < arm.fits(before) - LEAST_LOSS


def without_points(problem: FitProblem) -> FitProblem:
    """The same problem with nothing but the arm."""
    return dataclasses.replace(problem, data=problem.data.take(np.zeros(len(problem.data), dtype=bool)), groups=())


def let_groups_differ(problem: FitProblem, start: Float[np.ndarray, " p"]) -> tuple[FitProblem, OptimizeResult]:
    """Fit with an offset for every grasp; how far these may spread is what makes the pixels most probable.

    Compares the evidence of each spread, up to the configured one, in Laplace's approximation.
    Source: MacKay 1992, "Bayesian Interpolation", section 4.
    """
    groups = tuple(int(group) for group in np.unique(problem.data.group))
    tries = []
    if not groups:
        return problem, problem.solve(start, STEPS_WITH_ARM)
    for share in SPREAD_SHARES:
        config = dataclasses.replace(problem.config, grasp_spread_m=share * problem.config.grasp_spread_m)
        tried = dataclasses.replace(problem, config=config, groups=groups)
        steps = MOST_STEPS if problem.arm is None else STEPS_WITH_ARM
        result = tried.solve(np.concatenate([start, np.zeros(3 * len(groups))]), steps)
        _, volume = np.linalg.slogdet(result.jac.T @ result.jac)
        surprise = result.cost + 3 * len(groups) * np.log(config.grasp_spread_m) + volume / 2
        tries.append((surprise, tried, result))
    _, chosen, result = min(tries, key=lambda entry: entry[0])
    return chosen, result


def check_spread(data: Correspondences, config: CameraConfig) -> None:
    """Refuse what cannot hold a camera, before any fit.

    Raises:
        CameraError: too few points, or all of them along one line.
    """
    if len(data) < config.min_points:
        raise CameraError(f"{len(data)} points are too few for a camera, it takes {config.min_points}; {SWEEP_ADVICE}")
    positions = data.poses[:, :3, 3]
    extents = np.linalg.svd(positions - positions.mean(0), compute_uv=False) / np.sqrt(len(data)) * np.sqrt(12)
    if extents[1] < config.min_extent_m:
        raise CameraError(
            f"the tool's {len(data)} positions lie along a line ({extents[0]:.2f} m long, {extents[1]:.3f} m wide): "
            f"the camera is not determined; {SWEEP_ADVICE}"
        )


def summarise(problem: FitProblem, result: OptimizeResult) -> CameraFit:
    """The record of a solved problem; a point is an inlier within three times its spread and the usual residual."""
    rows = problem.offsets(result.x)
    residual = problem.residual_px(result.x)
    length = np.linalg.norm(residual, axis=1) / problem.data.sigma_px
    inlier = length < 3 * max(1.0, float(np.median(length)) if len(length) else 0.0)
    # jac comes weighted by the loss; where the noise is larger than was assumed the covariance grows with it
    information = result.jac.T @ result.jac
    noise = max(1.0, float(np.mean(length[inlier] ** 2)) / 2) if inlier.any() else 1.0
    covariance = noise * np.linalg.pinv(information)[: POSE + 3, : POSE + 3]
    return CameraFit(
        camera=problem.camera(result.x),
        tool_offset_m=rows[0].copy(),
        tip_offset_m=rows[1].copy(),
        group_offset_m={group: rows[0] + rows[2 + place] for place, group in enumerate(problem.groups)},
        residual_px=residual,
        inlier=inlier,
        covariance=covariance,
    )


def check_residual(fit: CameraFit, data: Correspondences, config: CameraConfig) -> None:
    """Refuse a camera that does not explain its points.

    Raises:
        CameraError: the residual is too large.
    """
    if not len(data):
        return
    limit = config.max_residual_px * fit.camera.width / 320
    median = float(np.median(np.linalg.norm(fit.residual_px, axis=1)))
    if median > limit:
        raise CameraError(
            f"the best camera misses its {len(data)} points by {median:.1f} px (median), more than {limit:.1f}: the "
            "camera moved between these episodes, the masks show something else, or the robot's units, signs or "
            f"offsets are wrong. Check robot.*, or {SWEEP_ADVICE}"
        )


def check_table(fit: CameraFit, data: Correspondences, config: CameraConfig, arm: Silhouettes | None) -> None:
    """Refuse a camera that leaves the table open where the tool has been.

    Raises:
        CameraError: the uncertainty is too large.
    """
    poses = data.poses if len(data) else arm.poses
    lowest = poses[np.argmin(poses[:, 2, 3])]
    pixels = data.pixels if len(data) else fit.camera.project(fit.object_points_m(poses))
    sigma = float(np.median(table_sigma_m(fit, pixels, lowest)))
    if not sigma < config.max_table_sigma_m:
        raise CameraError(
            f"{len(data)} points leave the table uncertain by {100 * sigma:.1f} cm where the tool has been (limit "
            f"{100 * config.max_table_sigma_m:.1f}); use more episodes of this camera pose, or {SWEEP_ADVICE}"
        )
