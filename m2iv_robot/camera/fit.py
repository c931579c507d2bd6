"""Fitting a pinhole camera to tool poses and the pixels that show a point fixed in the tool frame."""

import dataclasses
import logging

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult
from scipy.spatial.transform import Rotation

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.problem import POSE, FitProblem
from m2iv_robot.camera.records import CameraFit, Correspondences
from m2iv_robot.camera.uncertainty import table_sigma_m
from m2iv_robot.errors import CameraError

logger = logging.getLogger(__name__)

START_FOCALS = (0.4, 0.6, 0.8, 1.1, 1.6)  # share of the width
SPREAD_SHARES = (0.1, 0.25, 0.5, 1.0)  # of the configured grasp_spread_m
RANSAC_PX = 8.0  # for an image 320 wide; the offset of the tracked point is not known yet
SWEEP_ADVICE = "record a sweep: the empty gripper moved about in view, near and far, low and high, for a minute"


def fit_camera(
    data: Correspondences,
    width: int,
    height: int,
    config: CameraConfig | None = None,
    finger_offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> CameraFit:
    """Camera, and where the tracked points lie in the tool frame, by robust geometric error.

    `finger_offset_m` is where the fingertips are in the tool frame, to a few centimetres. Starts from several focal
    lengths with every pose that PnP finds for each, keeps the best, then lets the object lie a little different in
    every grasp.

    Raises:
        CameraError: too few points, points on a line, no consistent camera, or too uncertain a one.
    """
    config = config or CameraConfig()
    check_spread(data, config)
    offset = np.asarray(finger_offset_m, dtype=float)
    problem = FitProblem(data, (width, height), offset, config, groups=())
    candidates = [problem.solve(start, 60) for start in starts(problem)]
    if not candidates:
        raise CameraError(f"no camera pose explains the {len(data)} points; {SWEEP_ADVICE}")
    best = min(candidates, key=lambda result: result.cost)
    problem, result = let_groups_differ(problem, best.x)
    fit = summarise(problem, result)
    check_fit(fit, data, config)
    return fit


def let_groups_differ(problem: FitProblem, start: Float[np.ndarray, " p"]) -> tuple[FitProblem, OptimizeResult]:
    """Fit with an offset for every grasp; how far these may spread is what makes the pixels most probable.

    Compares the evidence of each spread, up to the configured one, in Laplace's approximation.
    Source: MacKay 1992, "Bayesian Interpolation", section 4.
    """
    groups = tuple(int(group) for group in np.unique(problem.data.group))
    tries = []
    for share in SPREAD_SHARES:
        config = dataclasses.replace(problem.config, grasp_spread_m=share * problem.config.grasp_spread_m)
        tried = dataclasses.replace(problem, config=config, groups=groups)
        result = tried.solve(np.concatenate([start, np.zeros(3 * len(groups))]))
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


def starts(problem: FitProblem) -> list[Float[np.ndarray, " p"]]:
    """Parameter vectors to start from: for several focal lengths, the pose of all points and the one of most.

    Source: SQPnP, Terzakis & Lourakis 2020 (cv2.SOLVEPNP_SQPNP).
    """
    width, height = problem.size
    offset = problem.offset_prior_m
    points = problem.data.poses[:, :3, :3] @ offset + problem.data.poses[:, :3, 3]
    found = []
    for share in START_FOCALS:
        camera = Camera(share * width, width, height, np.eye(3), np.zeros(3))
        for turn, shift in pnp_poses(points, problem.data.pixels, camera):
            head = np.concatenate([[np.log(camera.focal_px)], turn, shift])
            found.append(np.concatenate([head, offset, offset]))
    return found


def pnp_poses(
    points_m: Float[np.ndarray, "n 3"], pixels: Float[np.ndarray, "n 2"], camera: Camera
) -> list[tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]]:
    """Rotation vectors and translations that PnP finds for known intrinsics, points in front of the camera only."""
    solutions = []
    intrinsics, flags = camera.intrinsics, cv2.SOLVEPNP_SQPNP
    reach_px = RANSAC_PX * camera.width / 320
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(points_m, pixels, intrinsics, None, flags=flags)
        solutions += list(zip(turns, shifts, strict=True))
        good, turn, shift, _ = cv2.solvePnPRansac(
            points_m, pixels, intrinsics, None, iterationsCount=300, reprojectionError=reach_px, flags=flags
        )
        solutions += [(turn, shift)] if good else []
    except cv2.error as error:  # a sample of equal points
        logger.debug("PnP at focal length %.0f px: %s", camera.focal_px, error)
    solutions = [(turn.ravel(), shift.ravel()) for turn, shift in solutions]
    return [
        (turn, shift)
        for turn, shift in solutions
        if np.median(Rotation.from_rotvec(turn).apply(points_m)[:, 2] + shift[2]) > 0
    ]


def summarise(problem: FitProblem, result: OptimizeResult) -> CameraFit:
    """The record of a solved problem; a point is an inlier within three times its spread and the usual residual."""
    rows = problem.offsets(result.x)
    residual = problem.residual_px(result.x)
    length = np.linalg.norm(residual, axis=1) / problem.data.sigma_px
    inlier = length < 3 * max(1.0, float(np.median(length)))
    # jac comes weighted by the loss; where the noise is larger than was assumed the covariance grows with it
    information = result.jac.T @ result.jac
    noise = max(1.0, float(np.mean(length[inlier] ** 2)) / 2)
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


def check_fit(fit: CameraFit, data: Correspondences, config: CameraConfig) -> None:
    """Refuse a camera that does not explain its points or leaves the table open.

    Raises:
        CameraError: the residual or the uncertainty is too large.
    """
    limit = config.max_residual_px * fit.camera.width / 320
    median = float(np.median(np.linalg.norm(fit.residual_px, axis=1)))
    if median > limit:
        raise CameraError(
            f"the best camera misses its {len(data)} points by {median:.1f} px (median), more than {limit:.1f}: the "
            "camera moved between these episodes, the masks show something else, or the robot's units, signs or "
            f"offsets are wrong. Check robot.*, or {SWEEP_ADVICE}"
        )
    sigma = float(np.median(table_sigma_m(fit, data.pixels, data.poses[np.argmin(data.poses[:, 2, 3])])))
    if not sigma < config.max_table_sigma_m:
        raise CameraError(
            f"{len(data)} points leave the table uncertain by {100 * sigma:.1f} cm where the tool has been (limit "
            f"{100 * config.max_table_sigma_m:.1f}); use more episodes of this camera pose, or {SWEEP_ADVICE}"
        )
