"""Where the search for a camera starts: poses that PnP finds for tracked points, or that make the arm look right."""

import logging

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult
from scipy.spatial.transform import Rotation

from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.problem import POSE, FitProblem
from m2iv_robot.camera.silhouette import Silhouettes

logger = logging.getLogger(__name__)

START_FOCALS = (0.4, 0.6, 0.8, 1.1, 1.6)  # share of the width
RANSAC_PX = 8.0  # for an image 320 wide; the offset of the tracked point is not known yet
STEP_M = 0.15  # between the places where a camera may stand
HEIGHTS_M = (0.1, 0.3, 0.5, 0.7, 1.0)
NEAREST_M = 0.25  # to the arm's tip
LEVEL = 0.3  # least share of "down" in the picture's own down
LOOKED_AT = 600  # places whose arm is compared with the picture
APART_M = 0.2
KEPT = 12
ROUGH_STEPS = 12
PROMISING = 4
KEPT_APART = 3
HOPS = 18
JUMP = 0.06  # m, and rad


def point_starts(problem: FitProblem) -> list[Float[np.ndarray, " p"]]:
    """Parameter vectors to start from: for several focal lengths, the pose of all points and the one of most.

    Source: SQPnP, Terzakis & Lourakis 2020 (cv2.SOLVEPNP_SQPNP).
    """
    width, height = problem.size
    points = problem.data.poses[:, :3, :3] @ problem.offset_prior_m + problem.data.poses[:, :3, 3]
    found = []
    for share in START_FOCALS:
        camera = Camera(share * width, width, height, np.eye(3), np.zeros(3))
        found += [
            unknowns_of(camera.focal_px, turn, shift, problem)
            for turn, shift in pnp_poses(points, problem.data.pixels, camera)
        ]
    return found


def unknowns_of(
    focal_px: float, turn: Float[np.ndarray, " 3"], shift: Float[np.ndarray, " 3"], problem: FitProblem
) -> Float[np.ndarray, " p"]:
    """A parameter vector with the usual offsets."""
    return np.concatenate([[np.log(focal_px)], turn, shift, problem.offset_prior_m, problem.offset_prior_m])


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


def arm_starts(problem: FitProblem, arm: Silhouettes) -> list[Float[np.ndarray, " p"]]:
    """Parameter vectors from which the arm looks about right: all places around it, each turned to see its tip.

    The rotation at each place is the one that brings the directions to the tip nearest to its pixels.
    Source: Wahba 1965, "A Least Squares Estimate of Satellite Attitude", solved as Markley 1988.
    """
    focal_px = problem.config.focal_usual * problem.size[0]
    seen = np.isfinite(arm.tips_px[:, 0])
    if seen.sum() < 2:
        return []
    camera = Camera(focal_px, *problem.size, np.eye(3), np.zeros(3))
    rays = unit(np.concatenate([(arm.tips_px[seen] - camera.centre_px) / focal_px, np.ones((seen.sum(), 1))], axis=1))
    poses = [turned_to(place, arm.tips_m[seen], rays) for place in places_around()]
    poses = sorted((pose for pose in poses if pose is not None), key=lambda pose: pose[0])[:LOOKED_AT]
    cameras = [Camera(focal_px, *problem.size, rotation, -rotation @ place) for _, rotation, place in poses]
    rated = sorted(
        (float(np.square(arm.residuals(camera)).sum()), number)
        for number, camera in enumerate(cameras)
        if arm.possible(camera)
    )
    kept: list[Camera] = []
    for _, number in rated:
        place = cameras[number].position_m
        if len(kept) < KEPT and all(np.linalg.norm(place - other.position_m) > APART_M for other in kept):
            kept.append(cameras[number])
    return [
        unknowns_of(focal_px, Rotation.from_matrix(camera.rotation).as_rotvec(), camera.translation, problem)
        for camera in kept
    ]


def search(problem: FitProblem, arm: Silhouettes, begun: list[Float[np.ndarray, " p"]]) -> list[OptimizeResult]:
    """Different solutions near the starts, best first; an outline has many nearest fits, so small jumps leave each.

    Source: Wales & Doye 1997, "Global Optimization by Basin-Hopping".
    """
    generator = np.random.default_rng(0)
    found: list[OptimizeResult] = []

    def attempt(start: Float[np.ndarray, " p"]) -> None:
        result = problem.solve(start, ROUGH_STEPS)
        if arm.possible(problem.camera(result.x)):
            found.append(result)
            found.sort(key=lambda one: one.cost)

    for start in begun:
        attempt(start)
    for hop in range(HOPS if found else 0):
        early = hop < HOPS // 2
        base = found[int(generator.integers(min(PROMISING, len(found))))] if early else found[0]
        attempt(jumped(base.x, problem, generator, JUMP if early else JUMP / 3))
    apart: list[OptimizeResult] = []
    for result in found:
        place = problem.camera(result.x).position_m
        if all(np.linalg.norm(place - problem.camera(other.x).position_m) > APART_M for other in apart):
            apart.append(result)
    return apart[:KEPT_APART]


def jumped(
    unknowns: Float[np.ndarray, " p"], problem: FitProblem, generator: np.random.Generator, size: float
) -> Float[np.ndarray, " p"]:
    """A camera a little elsewhere, turned a little, with a slightly other focal length."""
    camera = problem.camera(unknowns)
    rotation = Rotation.from_rotvec(generator.normal(0, size, 3)).as_matrix() @ camera.rotation
    place = camera.position_m + generator.normal(0, size, 3)
    focal = unknowns[:1] + generator.normal(0, size / 2, 1)
    return np.concatenate([focal, Rotation.from_matrix(rotation).as_rotvec(), -rotation @ place, unknowns[POSE:]])


def places_around() -> Float[np.ndarray, "n 3"]:
    """Where a camera that watches a table-top arm may stand, base frame."""
    across, along = np.arange(-0.25, 1.6, STEP_M), np.arange(-1.2, 1.21, STEP_M)
    return np.stack(np.meshgrid(across, along, HEIGHTS_M), axis=-1).reshape(-1, 3)


def turned_to(
    place: Float[np.ndarray, " 3"], tips_m: Float[np.ndarray, "n 3"], rays: Float[np.ndarray, "n 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]] | None:
    """How far off the directions remain (rad, median), the rotation, and the place; None for an unlikely camera."""
    away = tips_m - place
    if np.linalg.norm(away, axis=1).min() < NEAREST_M:
        return None
    directions = unit(away)
    left, _, right = np.linalg.svd(rays.T @ directions)
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left) * np.linalg.det(right)]) @ right
    if rotation[1, 2] > -LEVEL:
        return None
    cosines = np.clip((directions @ rotation.T * rays).sum(1), -1, 1)
    return float(np.median(np.arccos(cosines))), rotation, place


def unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Vectors of length one."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
