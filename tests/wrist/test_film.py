"""New pictures against drawn ones."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from m2iv_robot.errors import CameraError
from m2iv_robot.wrist import Survey, ToolFilm, survey
from m2iv_robot.wrist.aligning import aligned

from .drawn import DARKNESS, cube, film, way


@pytest.fixture(scope="module")
def known(drawn) -> Survey:
    return Survey(drawn.mount, drawn.floor, drawn.lab)


@pytest.fixture(scope="module")
def found(drawn, footage) -> Survey:
    return survey(footage, drawn.lab.darkened(0.0), 0.003)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(first.astype(float) - second).mean()))


def blue(picture: np.ndarray) -> np.ndarray:
    return np.argwhere(picture[..., 2].astype(int) - picture[..., 0] > 60)


def test_how_dark_shadows_are_is_seen(found):
    assert found.lab.darkness == pytest.approx(DARKNESS, abs=0.08)


def test_the_second_fit_is_of_the_bare_table(found, drawn):
    assert found.mount.explained > 0.9
    assert np.linalg.norm(found.mount.pose[:3, 3] - drawn.mount.pose[:3, 3]) < 0.003


def test_things_on_the_table_that_nothing_tells_of_are_refused(drawn, footage):
    generator = np.random.default_rng(3)
    clutter = generator.uniform([0.1, -0.25, 0.02], [0.35, 0.1, 0.06], (150, 3))
    colours = generator.integers(0, 255, (150, 3))

    def cluttered(one):
        frames = one.frames.copy()
        for frame, tool in enumerate(one.motion.tool):
            for at, colour in zip(drawn.mount.camera(tool).project(clutter), colours, strict=True):
                if np.isfinite(at).all() and (np.abs(at) < 500).all():
                    cv2.circle(frames[frame], tuple(np.round(at).astype(int).tolist()), 3, colour.tolist(), -1)
        return replace(one, frames=frames)

    with pytest.raises(CameraError, match=r"lie on it|explains more"):
        survey([cluttered(one) for one in footage], drawn.lab.darkened(0.0), 0.003)


def test_a_new_way_looks_as_drawn(found, drawn, footage):
    motion = way((0.24, -0.04))
    camera = ToolFilm(footage[0], found)
    for frame in (3, 8, 13):
        true, made = drawn.picture(motion, frame), camera.shoot(motion, frame, frame)
        assert len(blue(true)) > 60
        assert psnr(made, true) > psnr(footage[0].frames[frame], true) + 6
        assert np.linalg.norm(blue(made).mean(0) - blue(true).mean(0)) < 2


def test_what_is_held_is_the_source_s_own(known, footage):
    motion = way((0.24, -0.04))
    frame = len(motion) - 1
    assert motion.held[frame]
    made = ToolFilm(footage[0], known).shoot(motion, frame, frame)
    cube_there = blue(footage[0].frames[frame])
    inner = tuple(np.round(cube_there.mean(0)).astype(int))
    assert np.array_equal(made[inner], footage[0].frames[frame][inner])


def test_the_thing_is_turned(known, drawn, footage):
    angle = 0.8
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    motion = way((0.24, -0.04))
    turned = replace(motion, turn=np.tile(turn, (len(motion), 1, 1)))
    shot = ToolFilm(footage[0], known)
    true = drawn.picture(turned, 10)
    assert psnr(shot.shoot(turned, 10, 10), true) > psnr(shot.shoot(motion, 10, 10), true)


def test_a_thing_believed_elsewhere_is_brought_to_its_outlines(known, drawn, footage):
    off = np.array([0.006, -0.004, 0.0])
    wrong = replace(footage[0], block=cube(footage[0].motion.object_m[0] + off))
    right = aligned(wrong, known, int(np.argmax(wrong.motion.held)))
    assert np.linalg.norm((right.block.points_m - footage[0].block.points_m)[0]) < 0.002


def test_a_thing_that_looks_like_the_table_stays_where_it_is_believed(known, drawn):
    motion = way((0.22, -0.1))
    gone = replace(motion, object_m=motion.object_m - [0, 0, 5.0])
    believed = replace(film(drawn, motion), frames=film(drawn, gone).frames)
    assert aligned(believed, known, 10) is believed


def test_a_darker_picture_stays_darker(known, footage):
    dark = replace(footage[0], frames=(0.5 * footage[0].frames).astype(np.uint8))
    motion = way((0.24, -0.04))
    bright, dim = (ToolFilm(one, known).shoot(motion, 6, 6).mean() for one in (footage[0], dark))
    assert dim == pytest.approx(0.5 * bright, rel=0.1)
