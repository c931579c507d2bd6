"""Simulated demonstrations and open-loop replays of actions."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from m2iv_robot.data.simulation.config import SimulationConfig
from m2iv_robot.data.simulation.expert import Task, draw_operator, droop, plan_joints, polar, tilts
from m2iv_robot.data.simulation.physics import Recorder, Trace, World, carried, held_span
from m2iv_robot.data.simulation.rendering import Renderer, average_down, pinhole
from m2iv_robot.data.simulation.scene import Scene, build_scene
from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.types import Episode, MaskTrajectory, Plate

ATTEMPTS = 10  # a demonstrator whose object slipped does it again
TRAVEL_MIN_M = 0.08  # between start and goal


@dataclass(frozen=True)
class SimulatedEpisode:
    """A demonstration and everything that is true of it. World = the robot's base frame, metres, z up."""

    episode: Episode  # front camera
    wrist_frames: UInt8[Tensor, "t 3 _ _"] | None
    masks: MaskTrajectory
    plate: Plate
    intrinsics: Float[np.ndarray, "3 3"]
    world_to_camera: Float[np.ndarray, "4 4"]  # OpenCV axes
    object_positions_m: Float[np.ndarray, "t 3"]
    object_quaternions: Float[np.ndarray, "t 4"]  # w x y z
    tool_positions_m: Float[np.ndarray, "t 3"]
    grasp_frame: int  # first frame of the hold, [grasp, release)
    release_frame: int
    start_xy: tuple[float, float]
    start_yaw_rad: float
    goal_xy: tuple[float, float]
    object_size_m: tuple[float, float, float]  # across the jaws, along them, height
    success: bool


@dataclass(frozen=True)
class ReplayResult:
    """What an open-loop replay did to the object. Success: lifted 2 cm or more, let go within 3 cm of the goal."""

    success: bool
    final_distance_m: float
    lift_m: float
    released: bool
    object_positions_m: Float[np.ndarray, "t 3"]
    tool_positions_m: Float[np.ndarray, "t 3"]
    state: Float[np.ndarray, "t s"]


@dataclass(frozen=True)
class Demonstration:
    """One pick and place without pictures."""

    task: Task
    home: Float[np.ndarray, " j"]
    actions: Float[np.ndarray, "t a"]
    trace: Trace
    attempt: int  # 0 where the first one succeeded


def simulate_episode(config: SimulationConfig, seed: int) -> SimulatedEpisode:
    """One demonstration in the lab of `config.scene_seed`; the same for the same `config` and `seed`.

    Raises:
        PlanError: no attempt succeeded, which means that the configured regions are hardly reachable.
        ConfigError: rendering is not possible on this machine.
    """
    scene = build_scene(config)
    demonstration = demonstrate(scene, config, seed)
    return film(scene, config, seed, demonstration)


def replay(
    config: SimulationConfig,
    seed: int,
    start_xy: tuple[float, float],
    actions: Float[np.ndarray, "t a"],
    start_yaw_rad: float | None = None,
    goal_xy: tuple[float, float] | None = None,
) -> ReplayResult:
    """Play `actions` open loop in the scene of episode `seed`, its object put at `start_xy` instead.

    Its yaw, its goal and the robot's first pose are the episode's own unless given. After the last action the robot
    stays where it is for a second.
    """
    scene = build_scene(config)
    demonstration = demonstrate(scene, config, seed)
    task = demonstration.task
    yaw = task.start_yaw_rad if start_yaw_rad is None else start_yaw_rad
    moved = Task(start_xy, yaw, goal_xy or task.goal_xy)
    trace = run_actions(scene, config.fps, moved, demonstration.home, np.asarray(actions, dtype=np.float64), rest_s=1.0)
    success, distance, lift = carried(trace, moved.goal_xy)
    return ReplayResult(
        success,
        distance,
        lift,
        not bool(trace.touched[-1]),
        trace.object_positions_m,
        trace.tool_positions_m,
        trace.state,
    )


def demonstrate(scene: Scene, config: SimulationConfig, seed: int) -> Demonstration:
    """Let the operator try until the object lies at the goal, each time with a new start and goal.

    Raises:
        PlanError: no attempt succeeded.
    """
    for attempt in range(ATTEMPTS):
        generator = np.random.default_rng([seed, attempt])
        task, home = _draw(scene, config, generator)
        operator = draw_operator(generator, config.speed, config.path_noise_m)
        try:
            leader = plan_joints(scene, task, operator, home, config.fps, generator)
        except PlanError:
            continue
        leader = leader + droop(scene, leader)
        actions = np.array([scene.arm.joints_to_action(scene.model, row) for row in leader])
        actions = actions.astype(np.float32).astype(np.float64)
        trace = run_actions(scene, config.fps, task, home, actions, rest_s=0.0)
        if carried(trace, task.goal_xy)[0]:
            if scene.arm.action_is_next_state:
                actions = np.concatenate([trace.state[1:], trace.state[-1:]])
            return Demonstration(task, home, actions, trace, attempt)
    raise PlanError(
        f"episode {seed}: no success in {ATTEMPTS} attempts; are start and goal region within the arm's reach?"
    )


def draw_episode(scene: Scene, config: SimulationConfig, seed: int) -> tuple[Task, Float[np.ndarray, " j"]]:
    """Task and first arm joints (rad) of episode `seed`, of its first attempt."""
    return _draw(scene, config, np.random.default_rng([seed, 0]))


def _draw(
    scene: Scene, config: SimulationConfig, generator: np.random.Generator
) -> tuple[Task, Float[np.ndarray, " j"]]:
    task = _draw_task(scene, config, generator)
    return task, np.array(scene.arm.home_rad) + generator.normal(0, 0.04, len(scene.arm.home_rad))


def run_actions(
    scene: Scene, fps: int, task: Task, home: Float[np.ndarray, " j"], actions: Float[np.ndarray, "t a"], rest_s: float
) -> Trace:
    """Move the robot from `home` under `actions`, then let it stay for `rest_s`; one row of the trace per frame."""
    world, recorder = World(scene, fps), Recorder()
    world.reset(home, task.start_xy, task.start_yaw_rad, task.goal_xy, None)
    world.reset(home, task.start_xy, task.start_yaw_rad, task.goal_xy, world.targets(actions[0]))
    for action in actions:
        recorder.note(world)
        world.advance(world.targets(action))
    for _ in range(round(rest_s * fps)):
        recorder.note(world)
        world.advance(world.targets(actions[-1]))
    return recorder.trace()


def _draw_task(scene: Scene, config: SimulationConfig, generator: np.random.Generator) -> Task:
    start_box = (config.start_x_min, config.start_x_max, config.start_y_min, config.start_y_max)
    goal_box = (config.goal_x_min, config.goal_x_max, config.goal_y_min, config.goal_y_max)
    for _ in range(1000):
        start = _draw_place(scene, start_box, generator)
        goal = _draw_place(scene, goal_box, generator)
        if math.dist(start, goal) >= TRAVEL_MIN_M:
            return Task(start, _draw_yaw(scene, start, goal, generator), goal)
    raise ConfigError(
        f"simulation: start and goal region leave no way of {TRAVEL_MIN_M * 100:.0f} cm; widen one of them"
    )


def _draw_yaw(
    scene: Scene, start: tuple[float, float], goal: tuple[float, float], generator: np.random.Generator
) -> float:
    """A yaw at which the arm can grasp: any for round things, else near the arm's direction, nearer where it tilts."""
    angle, distance = polar(scene.arm, start)
    tilt = math.degrees(tilts(scene.arm, distance, polar(scene.arm, goal)[1])[0])
    spread = math.radians(float(np.interp(tilt, (20.0, 60.0), (35.0, 8.0))))
    symmetry = scene.thing.symmetry_rad
    spread = min(symmetry / 2, spread) if symmetry else math.pi
    return angle + float(generator.uniform(-spread, spread))


def _draw_place(
    scene: Scene, box: tuple[float, float, float, float], generator: np.random.Generator
) -> tuple[float, float]:
    for _ in range(1000):
        place = (float(generator.uniform(*box[:2])), float(generator.uniform(*box[2:])))
        if is_reachable(scene, place):
            return place
    raise ConfigError(
        f"simulation: region x {box[0]}..{box[1]}, y {box[2]}..{box[3]} is out of the arm's reach: "
        f"{scene.arm.reach_min_m}..{scene.arm.reach_max_m} m from x = {scene.arm.pan_axis_x_m:.3f}"
    )


def is_reachable(scene: Scene, place: tuple[float, float]) -> bool:
    """Whether the expert can pick up there, and nothing lies in the way."""
    _, distance = polar(scene.arm, place)
    clear = all(math.dist(place, (x, y)) > radius + 0.05 for x, y, radius in scene.obstacles)
    return clear and scene.arm.reach_min_m <= distance <= scene.arm.reach_max_m


def film(scene: Scene, config: SimulationConfig, seed: int, demonstration: Demonstration) -> SimulatedEpisode:
    """Render a motion that was run, and put what is true of it beside it."""
    task, trace = demonstration.task, demonstration.trace
    generator = np.random.default_rng([seed, 1000])
    size = (config.width, config.height)
    wrist_size = (config.wrist_width, config.wrist_height)
    factor = config.supersample
    world = World(scene, config.fps)
    world.set_goal(task.goal_xy)
    largest = (max(factor * size[0], wrist_size[0]), max(factor * size[1], wrist_size[1]))
    front, wrist, actors, objects = [], [], [], []
    with Renderer(scene.model, *largest) as renderer:
        for poses in trace.configurations:
            world.place(poses)
            image, actor, thing = renderer.colour_and_masks(world.data, "front", *size, factor)
            front.append(_sensor(image, config.noise_levels, generator))
            actors.append(actor)
            objects.append(thing)
            if config.wrist_width:
                wrist.append(_sensor(renderer.colour(world.data, "wrist", *wrist_size), config.noise_levels, generator))
        plate = average_down(renderer.plate(world.data, "front", factor * size[0], factor * size[1]), factor)
        intrinsics, world_to_camera = pinhole(scene.model, world.data, "front", *size)
    return SimulatedEpisode(
        episode=_episode(scene, config, seed, demonstration, front),
        wrist_frames=_to_video(wrist) if wrist else None,
        masks=MaskTrajectory(
            torch.from_numpy(np.stack(actors)), torch.from_numpy(np.stack(objects)), torch.ones(len(actors))
        ),
        plate=Plate(_to_video([plate])[0], torch.ones(size[1], size[0], dtype=torch.bool)),
        intrinsics=intrinsics,
        world_to_camera=world_to_camera,
        object_positions_m=trace.object_positions_m,
        object_quaternions=trace.object_quaternions,
        tool_positions_m=trace.tool_positions_m,
        grasp_frame=held_span(trace)[0],
        release_frame=held_span(trace)[1],
        start_xy=task.start_xy,
        start_yaw_rad=task.start_yaw_rad,
        goal_xy=task.goal_xy,
        object_size_m=(scene.thing.width_m, scene.thing.length_m, scene.thing.height_m),
        success=carried(trace, task.goal_xy)[0],
    )


def _sensor(image: np.ndarray, noise_levels: float, generator: np.random.Generator) -> np.ndarray:
    if noise_levels == 0:
        return image
    noise = generator.standard_normal(image.shape, dtype=np.float32) * noise_levels
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def _to_video(frames: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _episode(
    scene: Scene, config: SimulationConfig, seed: int, demonstration: Demonstration, front: list[np.ndarray]
) -> Episode:
    names = scene.arm.state_names
    return Episode(
        dataset=f"simulated_{config.robot}_{config.scene_seed}",
        index=seed,
        camera="observation.images.front",
        frames=_to_video(front),
        state=torch.from_numpy(demonstration.trace.state.astype(np.float32)),
        action=torch.from_numpy(demonstration.actions.astype(np.float32)),
        state_names=names,
        action_names=names,
        fps=float(config.fps),
        task=task_text(scene, config),
        robot_type=scene.arm.robot_type,
    )


def task_text(scene: Scene, config: SimulationConfig) -> str:
    """What the operator was asked to do."""
    name = {"hexagon": "hexagonal block", "cone": "cone", "cuboid": "block"}.get(scene.thing.shape, scene.thing.shape)
    what = f"the {scene.thing.colour} {name}"
    if config.goal_marker:
        return f"Pick up {what} and place it on the {scene.marker_colour} coaster"
    return f"Pick up {what} and put it down elsewhere on the table"
