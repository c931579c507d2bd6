"""What hides and shades the table."""

import cv2
import numpy as np
import pytest

from m2iv_robot.wrist.hiding import arm_mask, light_left, outline, shadow_mask

from .drawn import DARKNESS, HEIGHT, ORANGE, PLATE, WIDTH, fill


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("frame", [0, 8, 15])
def test_the_arm_s_outline_is_its_polygon(drawn, footage, frame):
    motion = footage[0].motion
    camera = drawn.mount.camera(motion.tool[frame])
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    fill(wanted, camera, PLATE @ motion.tool[frame][:3, :3].T + motion.tool[frame][:3, 3], 1)
    found = arm_mask(motion, frame, camera, drawn.lab)
    assert wanted.sum() > 100
    assert iou(found, wanted > 0) > 0.85


def test_a_surface_is_closed_near_and_far(drawn, footage):
    camera = drawn.mount.camera(footage[0].motion.tool[0])
    y, x = np.mgrid[-0.02:0.0201:0.002, -0.02:0.0201:0.002]
    axes = camera.rotation.T
    for depth in (0.02, 0.06, 0.5):
        flat = np.stack([x.ravel(), y.ravel(), np.full(x.size, depth)], 1)
        found = outline(camera.position_m + flat @ axes.T, camera, 0.002)
        side = 0.04 * camera.focal_px / depth
        wanted = min(side, WIDTH) * min(side, HEIGHT)
        assert found.sum() == pytest.approx(wanted, rel=0.35 if side < 10 else 0.1)


def test_shadows_fall_where_the_light_says(drawn, footage):
    motion = footage[0].motion
    camera = drawn.mount.camera(motion.tool[0])
    shade = shadow_mask(footage[0], motion, 0, camera, drawn.lab, 0.0)
    true = drawn.picture(motion, 0).astype(float)
    lit, _ = drawn.floor.seen_by(camera)
    orange = np.abs(true - ORANGE).sum(-1) < 5
    dark = (true.mean(-1) < (1 - DARKNESS / 2) * lit.mean(-1)) & ~orange
    assert dark.sum() > 20
    assert (shade & dark).sum() > 0.8 * dark.sum()


def test_a_shadow_s_middle_is_as_dark_as_told(drawn, footage):
    camera = drawn.mount.camera(footage[0].motion.tool[0])
    shade = np.zeros((HEIGHT, WIDTH), bool)
    shade[40:80, 40:80] = True
    left = light_left(shade, camera, drawn.lab, 0.0)
    assert left[60, 60] == pytest.approx(1 - DARKNESS, abs=0.01)
    assert left[10, 10] == 1.0
    assert cv2.Laplacian(left, cv2.CV_32F).any()
