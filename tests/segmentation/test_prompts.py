"""Prompts: what is refused, what a click or box means, and finding the same thing in another episode."""

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot import masks
from m2iv_robot.errors import ConfigError, PromptError
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.prompts import (
    PromptConfig,
    carry_prompt,
    check_prompt,
    exemplar_of,
    prompted_region,
    read_prompt,
)
from m2iv_robot.types import Episode

HEIGHT, WIDTH = 80, 120
BLUE, GREEN = (40, 60, 190), (40, 150, 70)


def episode_with(things, index=0, length=6):
    """A still video of a wooden table with squares: (centre x, centre y, half side, colour)."""
    generator = np.random.default_rng(index)
    image = np.full((HEIGHT, WIDTH, 3), (176, 140, 98), np.float32) + generator.normal(0, 2, (HEIGHT, WIDTH, 3))
    for x, y, half, colour in things:
        image[y - half : y + half, x - half : x + half] = colour
    frame = torch.from_numpy(image.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    frames = frame[None].repeat(length, 1, 1, 1)
    return Episode("drawn", index, "front", frames, None, None, (), (), 10.0, "", None)


def square(x, y, half):
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[y - half : y + half, x - half : x + half] = True
    return mask


@pytest.fixture
def episode():
    return episode_with([(30, 40, 7, BLUE), (80, 50, 7, GREEN)])


@pytest.mark.parametrize("prompt", [Prompt(click=(29.0, 41.0)), Prompt(box=(20.0, 30.0, 41.0, 50.0))])
def test_a_click_or_a_box_means_the_whole_thing_there(episode, prompt):
    region = prompted_region(episode.frames[0], prompt)
    assert masks.iou(region, square(30, 40, 7)) > 0.7


def test_a_click_on_the_table_is_refused(episode):
    with pytest.raises(PromptError, match="no single thing stands out"):
        prompted_region(episode.frames[0], Prompt(click=(100.0, 10.0)))


def test_the_prompted_thing_is_found_elsewhere_in_another_episode(episode):
    looks = exemplar_of(episode, Prompt(click=(30.0, 40.0)))
    other = episode_with([(95, 25, 6, BLUE), (40, 60, 7, GREEN)], index=1)
    carried = carry_prompt(looks, other)
    assert masks.iou(carried.mask, square(95, 25, 6)) > 0.6


def test_an_episode_without_the_prompted_thing_is_refused_by_name(episode):
    looks = exemplar_of(episode, Prompt(click=(30.0, 40.0)))
    with pytest.raises(PromptError, match="episode 7, front: nothing looks like"):
        carry_prompt(looks, episode_with([(40, 60, 7, GREEN)], index=7))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt(click=(120.0, 10.0)), r"click \(120, 10\) is outside the frame, which is 120x80"),
        (Prompt(click=(-1.0, 10.0)), "outside the frame"),
        (Prompt(box=(10.0, 10.0, 130.0, 20.0)), "inside the 120x80 frame"),
        (Prompt(box=(20.0, 10.0, 10.0, 20.0)), "left,top,right,bottom"),
        (Prompt(frame=6, click=(5.0, 5.0)), "no frame 6; prompt.frame is 0 to 5"),
        (Prompt(mask=torch.ones(10, 10, dtype=torch.bool)), "the mask is 10x10, the frame 120x80"),
        (Prompt(mask=torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)), "holds no object pixel"),
    ],
)
def test_a_prompt_outside_the_frame_is_refused(episode, prompt, message):
    with pytest.raises(PromptError, match=message):
        check_prompt(prompt, episode)


def test_two_prompts_at_once_are_refused():
    with pytest.raises(PromptError, match="2 are given"):
        Prompt(click=(1.0, 1.0), text="cup")
    with pytest.raises(ConfigError, match="click and text"):
        PromptConfig(click=[1.0, 1.0], text="cup")
    with pytest.raises(ConfigError, match=r"\[x,y\]"):
        PromptConfig(click=[1.0])


def test_masks_are_read_from_labels_and_from_black_and_white_images(tmp_path, episode):
    truth = square(30, 40, 7)
    for name, image in (("labels.png", truth.numpy() * 2 + 0), ("white.png", truth.numpy() * 255)):
        cv2.imwrite(str(tmp_path / name), image.astype(np.uint8))
        assert torch.equal(read_prompt(PromptConfig(mask=str(tmp_path / name)), episode).mask, truth)
    with pytest.raises(PromptError, match="no image that can be read"):
        read_prompt(PromptConfig(mask=str(tmp_path / "missing.png")), episode)
