"""A lab: robot, table, object, distractors, lights and cameras, compiled into one MuJoCo model."""

import dataclasses
import functools
import math
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from m2iv_robot.data.simulation.arm import Arm
from m2iv_robot.data.simulation.config import SHAPES, SimulationConfig
from m2iv_robot.data.simulation.objects import Thing, add_thing, choose_thing, prism_vertices
from m2iv_robot.data.simulation.panda import PANDA
from m2iv_robot.data.simulation.so101 import SO101
from m2iv_robot.data.simulation.textures import table_texture, wall_texture
from m2iv_robot.errors import ConfigError

ARMS = {"so101": SO101, "panda": PANDA}
SCENERY, OBJECT, ROBOT, HIDDEN = 0, 1, 2, 3  # geom groups
MARKER_RADIUS_M = 0.045


@dataclass(frozen=True)
class Scene:
    """A compiled lab. The model is shared: whoever uses it makes his own MjData."""

    model: mujoco.MjModel
    arm: Arm
    thing: Thing
    marker_colour: str
    obstacles: Float[np.ndarray, "n 3"]  # x, y and radius of the distractors, m


def build_scene(config: SimulationConfig) -> Scene:
    """The lab that `config.scene_seed` stands for; frame rate, image size, regions and noise do not change it."""
    look = dataclasses.replace(SimulationConfig(), robot=config.robot, scene_seed=config.scene_seed, shape=config.shape)
    return _build(
        dataclasses.replace(
            look, distractors=config.distractors, distractors_in_reach=config.distractors_in_reach,
            goal_marker=config.goal_marker,
        )
    )  # fmt: skip


@functools.lru_cache(maxsize=8)
def _build(config: SimulationConfig) -> Scene:
    arm = ARMS[config.robot]
    # Separate streams: asking for one distractor more does not move the camera.
    streams = np.random.default_rng([config.scene_seed, 7]).spawn(6)
    spec = arm.build(streams[0])
    _set_physics(spec, arm)
    _add_room(spec, streams[1], arm)
    _add_lights(spec, streams[2], arm)
    _add_front_camera(spec, streams[3], arm)
    thing = choose_thing(streams[4], config.shape, SHAPES)
    _add_object(spec, thing)
    obstacles = _add_distractors(spec, streams[5], arm, config, thing)
    marker_colour = _add_marker(spec, streams[4], thing, config.goal_marker)
    return Scene(spec.compile(), arm, thing, marker_colour, obstacles)


def _set_physics(spec: mujoco.MjSpec, arm: Arm) -> None:
    spec.option.timestep = arm.timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.option.noslip_iterations = 3
    spec.stat.extent = 0.8
    spec.stat.center = [0.2, 0, 0.1]
    spec.visual.map.znear, spec.visual.map.zfar = 0.02, 6.0
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 0
    spec.visual.map.shadowclip = 1.2
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1920, 1440


def _add_room(spec: mujoco.MjSpec, generator: np.random.Generator, arm: Arm) -> None:
    _add_material(spec, "table", table_texture(generator), generator.uniform(0.02, 0.25))
    _add_material(spec, "wall", wall_texture(generator), 0.0)
    _add_material(spec, "floor", table_texture(generator), 0.0)
    box = mujoco.mjtGeom.mjGEOM_BOX
    spec.worldbody.add_geom(
        name="table", type=box, pos=[0.30, 0, -0.02], size=[0.62, 0.70, 0.02], material="table", group=SCENERY,
        contype=1, conaffinity=0, friction=[0.8, 0.01, 0.001],
    )  # fmt: skip
    plain = {"contype": 0, "conaffinity": 0, "group": SCENERY}
    spec.worldbody.add_geom(name="floor", type=box, pos=[0, 0, -0.80], size=[3, 3, 0.02], material="floor", **plain)
    spec.worldbody.add_geom(
        name="wall_back", type=box, pos=[-0.9, 0, 0.5], size=[0.02, 3, 1.4], material="wall", **plain
    )
    for side in (-1, 1):
        spec.worldbody.add_geom(
            name=f"wall{side}", type=box, pos=[0.5, side * 1.6, 0.5], size=[3, 0.02, 1.4], material="wall", **plain
        )


def _add_material(spec: mujoco.MjSpec, name: str, image: np.ndarray, gloss: float) -> None:
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=image.shape[1], height=image.shape[0], nchannel=3
    )
    texture.data = image.tobytes()
    material = spec.add_material(name=name, specular=gloss, shininess=0.4)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_lights(spec: mujoco.MjSpec, generator: np.random.Generator, arm: Arm) -> None:
    strength = generator.uniform(0.30, 0.50)
    tint = 1 + generator.normal(0, 0.04, 3)
    spec.visual.headlight.ambient = list(np.clip(generator.uniform(0.28, 0.38) * tint, 0, 1))
    spec.visual.headlight.diffuse = [0.12, 0.12, 0.12]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]
    azimuth, height = generator.uniform(-math.pi, math.pi), generator.uniform(0.9, 1.6)
    position = np.array([0.25 + 0.7 * math.cos(azimuth), 0.7 * math.sin(azimuth), height])
    spec.worldbody.add_light(
        pos=position, dir=np.array([0.25, 0, 0]) - position, castshadow=True,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=list(np.clip(strength * tint, 0, 1)), specular=[0.2, 0.2, 0.2], ambient=[0, 0, 0],
    )  # fmt: skip
    spec.worldbody.add_light(
        pos=[0.25, 0, 2.0], dir=generator.normal(0, 0.2, 3) - [0, 0, 1], castshadow=False,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, diffuse=[0.14, 0.14, 0.14], specular=[0, 0, 0], ambient=[0, 0, 0],
    )  # fmt: skip


def _add_front_camera(spec: mujoco.MjSpec, generator: np.random.Generator, arm: Arm) -> None:
    """Across the table from the robot, or at its side, looking down at what it can reach."""
    middle = arm.pan_axis_x_m + 0.5 * (arm.reach_min_m + arm.reach_max_m)
    scale = arm.reach_max_m / 0.40
    target = np.array([middle - 0.10 * scale, 0, 0.07 * scale]) + generator.normal(0, 0.01, 3)
    azimuth = math.radians(generator.uniform(-50, 50))
    elevation = math.radians(generator.uniform(32, 52))
    distance = scale * generator.uniform(0.62, 0.70)
    fovy = generator.uniform(45, 50)
    away = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    tilt = math.radians(generator.normal(0, 1.5))
    up = np.cross(away, right)
    right, up = math.cos(tilt) * right + math.sin(tilt) * up, math.cos(tilt) * up - math.sin(tilt) * right
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, up, away], axis=1).reshape(-1))
    spec.worldbody.add_camera(name="front", pos=target + distance * away, quat=quaternion, fovy=fovy)


def _add_object(spec: mujoco.MjSpec, thing: Thing) -> None:
    body = spec.worldbody.add_body(name="object", pos=[0.25, 0, thing.height_m / 2])
    body.add_freejoint(name="object")
    _add_prism(spec, "object", thing)
    add_thing(body, thing, "object", OBJECT, collision=(4, 15))


def _add_prism(spec: mujoco.MjSpec, prefix: str, thing: Thing) -> None:
    if thing.shape in ("hexagon", "cone"):
        spec.add_mesh(name=f"{prefix}mesh", uservert=prism_vertices(thing).reshape(-1).tolist())


def _add_distractors(
    spec: mujoco.MjSpec, generator: np.random.Generator, arm: Arm, config: SimulationConfig, thing: Thing
) -> Float[np.ndarray, "n 3"]:
    """Things that stay; never of the object's own shape and colour."""
    placed: list[tuple[float, float, float]] = []
    for number in range(config.distractors + config.distractors_in_reach):
        other = choose_thing(generator, "", SHAPES, scale=generator.uniform(0.8, 2.0))
        while (other.shape, other.colour) == (thing.shape, thing.colour):
            other = choose_thing(generator, "", SHAPES, scale=generator.uniform(0.8, 2.0))
        radius = 0.5 * math.hypot(other.width_m, other.length_m)
        x, y = _free_place(generator, arm, placed, radius, inside=number >= config.distractors)
        placed.append((x, y, radius))
        half_yaw = generator.uniform(0, math.pi) / 2
        body = spec.worldbody.add_body(
            name=f"distractor{number}_", pos=[x, y, other.height_m / 2],
            quat=[math.cos(half_yaw), 0, 0, math.sin(half_yaw)],
        )  # fmt: skip
        _add_prism(spec, f"distractor{number}_", other)
        add_thing(body, other, f"distractor{number}_", SCENERY, collision=(8, 0))
    return np.array(placed).reshape(-1, 3)


def _free_place(
    generator: np.random.Generator, arm: Arm, placed: list[tuple[float, float, float]], radius: float, inside: bool
) -> tuple[float, float]:
    for _ in range(1000):
        angle = generator.uniform(-1.9, 1.9)
        margin = radius + 0.03
        low, high = (
            (arm.reach_min_m, arm.reach_max_m) if inside else (arm.reach_max_m + margin, arm.reach_max_m + margin + 0.2)
        )
        distance = generator.uniform(low, high)
        x, y = arm.pan_axis_x_m + distance * math.cos(angle), distance * math.sin(angle)
        if all(math.hypot(x - a, y - b) > radius + r + 0.02 for a, b, r in placed) and x < 0.9 and abs(y) < 0.65:
            return x, y
    raise ConfigError("simulation.distractors: no room left on the table; ask for fewer")


def _add_marker(spec: mujoco.MjSpec, generator: np.random.Generator, thing: Thing, wanted: bool) -> str:
    names = {"white": (0.9, 0.9, 0.9), "black": (0.1, 0.1, 0.1), "blue": (0.2, 0.35, 0.6), "green": (0.25, 0.5, 0.3)}
    colour = [name for name in names if name != thing.colour][generator.integers(3)]
    if wanted:
        body = spec.worldbody.add_body(name="marker", mocap=True, pos=[0.25, 0, 0.0])
        body.add_geom(
            name="marker", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[MARKER_RADIUS_M, 0.001, 0], group=SCENERY,
            rgba=[*names[colour], 1], contype=0, conaffinity=0,
        )  # fmt: skip
    return colour
