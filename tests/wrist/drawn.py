"""A drawn lab: a speckled table, a cube, a gripper of one orange plate, and a camera on the tool."""

from dataclasses import dataclass

import cv2
import numpy as np

from m2iv_robot.camera import Block, Camera
from m2iv_robot.kinematics import Surface
from m2iv_robot.wrist import Floor, Mount, ToolFootage, ToolLab, ToolMotion

WIDTH, HEIGHT = 160, 120
HALF_M = 0.012  # of the cube
FALL = np.array([0.4, -0.3])
DARKNESS = 0.4
PLATE = np.array([[0.025, -0.03, -0.01], [0.05, -0.03, -0.01], [0.05, -0.005, -0.01], [0.025, -0.005, -0.01]])
ORANGE = (220, 120, 20)
SIDES = {  # of the cube: corners (signs of x, y, z) and colour
    "top": ([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], (40, 60, 230)),
    "x": ([(1, -1, -1), (1, 1, -1), (1, 1, 1), (1, -1, 1)], (20, 30, 150)),
    "-x": ([(-1, -1, -1), (-1, 1, -1), (-1, 1, 1), (-1, -1, 1)], (20, 30, 150)),
    "y": ([(-1, 1, -1), (1, 1, -1), (1, 1, 1), (-1, 1, 1)], (10, 10, 90)),
    "-y": ([(-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1)], (10, 10, 90)),
}


@dataclass(frozen=True)
class DrawnLab:
    """What is true of it."""

    floor: Floor
    mount: Mount
    lab: ToolLab

    def picture(self, motion: ToolMotion, frame: int) -> np.ndarray:
        """What the camera sees, drawn with polygons."""
        camera = self.mount.camera(motion.tool[frame])
        picture, _ = self.floor.seen_by(camera)
        shade = np.zeros((HEIGHT, WIDTH), np.uint8)
        plate = PLATE @ motion.tool[frame][:3, :3].T + motion.tool[frame][:3, 3]
        flat = np.c_[plate[:, :2] + plate[:, 2:] * FALL, np.zeros(4)]
        fill(shade, camera, flat, 1)
        picture = picture * (1 - DARKNESS * shade[..., None])
        picture = np.ascontiguousarray(np.round(picture).astype(np.uint8))
        for corners, colour in seen_sides(camera, motion, frame):
            fill(picture, camera, corners, colour)
        fill(picture, camera, plate, ORANGE)
        return picture


def fill(picture: np.ndarray, camera: Camera, points_m: np.ndarray, colour) -> None:
    cv2.fillConvexPoly(picture, np.round(16 * camera.project(points_m)).astype(np.int32), colour, cv2.LINE_8, 4)


def seen_sides(camera: Camera, motion: ToolMotion, frame: int) -> list:
    sides = []
    for signs, colour in SIDES.values():
        corners = HALF_M * np.array(signs, float) @ motion.turn[frame].T + motion.object_m[frame]
        outward = corners.mean(0) - motion.object_m[frame]
        if outward @ (camera.position_m - corners.mean(0)) > 0:
            sides.append((corners, colour))
    return sides


def way(start: tuple[float, float], frames: int = 24, wobble: float = 0.15) -> ToolMotion:
    """The tool goes from above the middle down to the cube, and carries it up."""
    share = np.minimum(np.linspace(0, 1.5, frames), 1)[:, None]
    goal = np.array([*start, 0.02])
    place = (1 - share) * np.array([0.2, 0.0, 0.16]) + share * goal
    late = np.maximum(np.linspace(0, 1.5, frames) - 1, 0)[:, None]
    place = place + late * np.array([0.0, 0.0, 0.1])
    tool = np.tile(np.eye(4), (frames, 1, 1))
    for number in range(frames):
        tilt = wobble * np.array([np.sin(0.9 * number), np.cos(0.7 * number), 0.5 * np.sin(0.5 * number)])
        tool[number, :3, :3] = np.diag([1.0, -1.0, -1.0]) @ cv2.Rodrigues(tilt)[0]
    tool[:, :3, 3] = place
    held = late[:, 0] > 0
    thing = np.tile([*start, HALF_M], (frames, 1))
    grasp = int(np.argmax(held))
    in_hand = np.linalg.inv(tool[grasp]) @ [*thing[0], 1]
    thing[held] = (tool[held] @ in_hand)[:, :3]
    turn = np.tile(np.eye(3), (frames, 1, 1))
    turn[held] = tool[held, :3, :3] @ tool[grasp, :3, :3].T
    return ToolMotion(tool, tool[:, None], thing, turn, held)


def cube(centre: np.ndarray) -> Block:
    """Points of a cube's top and sides."""
    line = np.linspace(-HALF_M, HALF_M, 17)
    first, second = (part.ravel() for part in np.meshgrid(line, line))
    ends = np.full(first.shape, HALF_M)
    points = [np.stack([first, second, ends], 1)]
    for side in (-ends, ends):
        points += [np.stack([side, first, second], 1), np.stack([first, side, second], 1)]
    points_m = np.concatenate(points) + centre
    lens = Camera(100.0, WIDTH, HEIGHT, np.eye(3), np.zeros(3))
    return Block(lens, points_m, np.zeros((len(points_m), 2)))


def film(drawn: DrawnLab, motion: ToolMotion) -> ToolFootage:
    """An episode of the drawn lab."""
    frames = np.stack([drawn.picture(motion, frame) for frame in range(len(motion))])
    return ToolFootage(frames, motion, cube(motion.object_m[0]))


def drawn_lab() -> DrawnLab:
    """Speckles, a tilted camera, and the plate as the arm's surface."""
    generator = np.random.default_rng(5)
    speckles = cv2.GaussianBlur(generator.uniform(0, 255, (901, 901, 1)).astype(np.float32), (0, 0), 4)
    speckles = 130 + 4 * (speckles - speckles.mean())[..., None] * np.array([1.0, 0.9, 0.8], np.float32)
    floor = Floor(np.clip(speckles, 20, 250), np.ones((901, 901), bool), np.full(2, -0.45), 0.001, 0.0)
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([-0.35, 0.1, 0.2]))[0]
    pose[:3, 3] = [0.01, -0.05, -0.07]
    grid = np.linspace(0, 1, 15)
    u, v = (part.ravel()[:, None] for part in np.meshgrid(grid, grid))
    points = PLATE[0] + u * (PLATE[1] - PLATE[0]) + v * (PLATE[3] - PLATE[0])
    surface = Surface(points, np.tile([0.0, 0.0, -1.0], (len(points), 1)), np.zeros(len(points), int), 0.003)
    return DrawnLab(floor, Mount(95.0, WIDTH, HEIGHT, pose, 0.0, 1.0), ToolLab(surface, FALL, DARKNESS))
