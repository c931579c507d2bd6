"""Off-screen pictures of a scene: colour, exact masks, plate; through EGL where there is a GPU, else OSMesa."""

import ctypes.util
import os
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Bool, Float, UInt8

from m2iv_robot.data.simulation.scene import HIDDEN, OBJECT, ROBOT, SCENERY
from m2iv_robot.errors import ConfigError


def choose_backend() -> str:
    """`egl` or `osmesa`: MUJOCO_GL where it is set, else EGL where the system has a GPU driver, else OSMesa.

    Raises:
        ConfigError: MUJOCO_GL names another one, or the system library is missing.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if not wanted:
        has_gpu = Path("/dev/nvidiactl").exists() or any(Path("/dev/dri").glob("renderD*"))
        wanted = "egl" if has_gpu and ctypes.util.find_library("EGL") else "osmesa"
    if wanted not in ("egl", "osmesa"):
        raise ConfigError(f"MUJOCO_GL={wanted}: simulation renders without a display; set MUJOCO_GL to egl or osmesa")
    library, package = {"egl": ("EGL", "libegl1"), "osmesa": ("OSMesa", "libosmesa6")}[wanted]
    if ctypes.util.find_library(library) is None:
        raise ConfigError(f"simulation renders through {library}, which is not installed: apt install {package}")
    return wanted


def _open_context(width: int, height: int) -> object:
    backend = choose_backend()
    os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    try:
        if backend == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(width, height)
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"simulation cannot render through {backend}: {error}; try MUJOCO_GL=osmesa") from error


class Renderer:
    """An open rendering context for one model; `close` it, or use it in a `with`."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self.model = model
        self._context = _open_context(width, height)
        self._context.make_current()
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._graphics = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._graphics)
        self._scene = mujoco.MjvScene(model, maxgeom=400)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the context back."""
        if self._context is not None:
            self._graphics.free()
            self._context.free()
            self._context = None

    def colour(self, data: mujoco.MjData, camera: str, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
        """What the camera sees."""
        self._update(data, camera, (SCENERY, OBJECT, ROBOT))
        return self._read(width, height)

    def plate(self, data: mujoco.MjData, camera: str, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
        """What it would see without robot and object, and without their shadows."""
        self._update(data, camera, (SCENERY,))
        return self._read(width, height)

    def masks(
        self, data: mujoco.MjData, camera: str, width: int, height: int
    ) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """Visible pixels of the robot and of the object."""
        self._update(data, camera, (SCENERY, OBJECT, ROBOT))
        return self._segment(width, height)

    def colour_and_masks(
        self, data: mujoco.MjData, camera: str, width: int, height: int, supersample: int
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """`colour` and `masks` of one instant; the colour is averaged from `supersample` squared samples a pixel."""
        self._update(data, camera, (SCENERY, OBJECT, ROBOT))
        image = self._read(supersample * width, supersample * height)
        return average_down(image, supersample), *self._segment(width, height)

    def _segment(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        flags = (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR)
        for flag in flags:
            self._scene.flags[flag] = 1
        code = self._read(width, height).astype(np.int64)
        for flag in flags:
            self._scene.flags[flag] = 0
        group = np.full(self._scene.ngeom + 1, HIDDEN)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                group[geom.segid + 1] = self.model.geom_group[geom.objid]
        labels = group[code[..., 0] + 256 * code[..., 1] + 65536 * code[..., 2]]
        return labels == ROBOT, labels == OBJECT

    def _update(self, data: mujoco.MjData, camera: str, groups: tuple[int, ...]) -> None:
        self._camera.fixedcamid = self.model.camera(camera).id
        options = mujoco.MjvOption()
        options.geomgroup[:] = [group in groups for group in range(6)]
        options.sitegroup[:] = 0
        mujoco.mjv_updateScene(
            self.model, data, options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )

    def _read(self, width: int, height: int) -> np.ndarray:
        self._context.make_current()
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scene, self._graphics)
        image = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, viewport, self._graphics)
        return np.ascontiguousarray(image[::-1])


def average_down(image: UInt8[np.ndarray, "H W 3"], factor: int) -> UInt8[np.ndarray, "h w 3"]:
    """Mean over squares of `factor` pixels."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks = image.reshape(height, factor, width, factor, 3).astype(np.float32)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


def pinhole(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, width: int, height: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """Intrinsics (px; centre of the top-left pixel at (0, 0)) and base-to-camera matrix with OpenCV's axes."""
    number = model.camera(camera).id
    focal = height / 2 / np.tan(np.deg2rad(model.cam_fovy[number]) / 2)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    # MuJoCo's camera looks along its -z with y up.
    rotation = (data.cam_xmat[number].reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])).T
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ data.cam_xpos[number]
    return intrinsics, world_to_camera
