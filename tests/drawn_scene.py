"""A drawn pick-and-place episode whose masks are known exactly."""

import numpy as np
import torch

from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory

HEIGHT, WIDTH, LENGTH = 96, 128, 40
HELD = EpisodePhases(14, 26)
START, GOAL = (30, 70), (95, 60)  # x, y of the block's centre
BLUE, GREY = (40, 60, 190), (55, 55, 60)


def table():
    """A wooden table with some texture, a red block that stays, and a dark wall."""
    generator = np.random.default_rng(0)
    image = np.full((HEIGHT, WIDTH, 3), (176, 140, 98), np.float32) + generator.normal(0, 3, (HEIGHT, WIDTH, 1))
    image[:25] = (92, 96, 105)
    image[78:88, 60:70] = (190, 50, 45)
    return image


def square(centre, half=6):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y = (round(value) for value in centre)
    mask[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = True
    return mask


def arm(tip):
    """An arm from the top edge down to its fingers, above the thing that it holds."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y = (round(value) for value in tip)
    mask[: max(y - 12, 1), max(x - 5, 0) : x + 5] = True
    mask[max(y - 14, 0) : max(y - 8, 1), x - 11 : x + 11] = True
    mask[max(y - 8, 0) : max(y + 2, 1), x - 11 : x - 6] = True
    mask[max(y - 8, 0) : max(y + 2, 1), x + 6 : x + 11] = True
    return mask


def tip_at(t):
    home, start, goal = np.array([64.0, 12.0]), np.array(START, float), np.array(GOAL, float)
    if t < HELD.grasp:
        share = max(0.0, (t - 4) / (HELD.grasp - 4))
        return home + share * (start - home)
    if t < HELD.release:
        share = (t - HELD.grasp) / (HELD.release - HELD.grasp)
        lift = np.array([0.0, -18.0]) * np.sin(np.pi * share)
        return start + share * (goal - start) + lift
    share = min(1.0, (t - HELD.release) / 8)
    return goal + share * (home - goal)


def draw(moves=True, gain=1.0, shadow=0.0):
    """An episode in which the arm carries a blue block, or comes and goes without it, and its true masks."""
    scene, frames, actors, objects = table(), [], [], []
    generator = np.random.default_rng(1)
    for t in range(LENGTH):
        tip = tip_at(t)
        held = HELD.grasp <= t < HELD.release
        place = START if t < HELD.grasp or not moves else (tip if held else GOAL)
        actor = arm(tip)
        thing = square(place) & ~actor
        frame = scene.copy()
        if shadow:
            dark = np.roll(actor, (9, 12), (0, 1))
            dark[:30] = False
            frame[dark] *= 1 - shadow
        frame[thing], frame[actor] = BLUE, GREY
        level = 1 + (gain - 1) * np.sin(t / 5)
        frames.append(np.clip(frame * level + generator.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8))
        actors.append(actor)
        objects.append(thing)
    video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    truth = MaskTrajectory(*(torch.from_numpy(np.stack(part)) for part in (actors, objects)), torch.ones(LENGTH))
    return Episode("drawn", 0, "front", video, None, None, (), (), 10.0, "", None), truth
