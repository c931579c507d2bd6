"""Procedural surfaces for table and wall."""

import cv2
import numpy as np
from jaxtyping import UInt8

TABLE_TONES = (
    (0.72, 0.56, 0.38),
    (0.50, 0.36, 0.24),
    (0.85, 0.83, 0.78),
    (0.35, 0.36, 0.38),
    (0.93, 0.93, 0.92),
    (0.30, 0.42, 0.38),
)
WALL_TONES = ((0.80, 0.80, 0.78), (0.62, 0.66, 0.70), (0.45, 0.42, 0.40), (0.70, 0.62, 0.52), (0.30, 0.34, 0.40))


def table_texture(generator: np.random.Generator, size: int = 512) -> UInt8[np.ndarray, "s s 3"]:
    """Wood grain, cloth, speckled laminate or plain board, in one of a few tones."""
    tone = np.array(TABLE_TONES[generator.integers(len(TABLE_TONES))])
    pattern = (_wood, _cloth, _speckle, _plain)[generator.integers(4)](generator, size)
    blotches = _smooth_noise(generator, size, 6) * 0.04
    return _to_bytes(tone * (1 + pattern + blotches)[..., None])


def wall_texture(generator: np.random.Generator, size: int = 256) -> UInt8[np.ndarray, "s s 3"]:
    """A wall with a few large rectangles on it: shelves, posters, doors."""
    image = np.ones((size, size, 3)) * WALL_TONES[generator.integers(len(WALL_TONES))]
    for _ in range(generator.integers(2, 7)):
        x, y = generator.integers(0, size, 2)
        width, height = generator.integers(size // 10, size // 2, 2)
        image[y : y + height, x : x + width] = generator.uniform(0.1, 0.9, 3)
    return _to_bytes(cv2.GaussianBlur(image, (0, 0), 1.5) * (1 + 0.05 * _smooth_noise(generator, size, 4))[..., None])


def _smooth_noise(generator: np.random.Generator, size: int, cells: int) -> np.ndarray:
    return cv2.resize(generator.normal(0, 1, (cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC)


def _wood(generator: np.random.Generator, size: int) -> np.ndarray:
    fibres = cv2.GaussianBlur(generator.normal(0, 1, (size, size)), (0, 0), sigmaX=40, sigmaY=0.8)
    rings = np.sin(_smooth_noise(generator, size, 5) * 3 + np.linspace(0, 40, size)[:, None])
    return 0.10 * fibres / fibres.std() + 0.06 * rings


def _cloth(generator: np.random.Generator, size: int) -> np.ndarray:
    threads = np.arange(size) * 2 * np.pi * generator.uniform(0.08, 0.2)
    return 0.07 * (np.sin(threads)[:, None] + np.sin(threads)[None, :])


def _speckle(generator: np.random.Generator, size: int) -> np.ndarray:
    grains = cv2.GaussianBlur(generator.normal(0, 1, (size, size)), (0, 0), 1.2)
    return 0.10 * grains / grains.std()


def _plain(generator: np.random.Generator, size: int) -> np.ndarray:
    return 0.015 * generator.normal(0, 1, (size, size))


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 255, 0, 255).astype(np.uint8)
