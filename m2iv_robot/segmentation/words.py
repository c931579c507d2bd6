"""What the instruction says of the object's colour: of several things that were moved it tells which one is meant."""

import re

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

HUES_DEG = {  # from, to on the colour circle
    "red": (340, 18),
    "orange": (15, 45),
    "yellow": (40, 70),
    "green": (70, 175),
    "blue": (190, 262),
    "purple": (255, 310),
    "pink": (300, 350),
}
LEAST_SATURATION, LEAST_VALUE = 0.3, 0.12  # of 1: paler or darker pixels have no colour to speak of
WHERE = r"\b(?:in|into|inside|on|onto|to|from|off|out|over|under|next|near|beside|between|behind|and|then)\b"


def told_colour(task: str) -> str | None:
    """The colour of what is taken: "blue" for "put the blue block in the green bowl"; None where it is not said."""
    taken = re.split(WHERE, task.lower(), maxsplit=1)[0]
    named = {word for word in re.findall(r"[a-z]+", taken) if word in HUES_DEG}
    return named.pop() if len(named) == 1 else None


def in_colour(picture: UInt8[np.ndarray, "h w 3"], colour: str) -> Bool[np.ndarray, "h w"]:
    """Where a picture (RGB) shows a colour of that name."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV))
    low, high = HUES_DEG[colour]
    within = (hue >= low) & (hue <= high) if low < high else (hue >= low) | (hue <= high)
    return within & (saturation >= LEAST_SATURATION) & (value >= LEAST_VALUE)
