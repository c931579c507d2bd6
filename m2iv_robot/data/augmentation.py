"""What makes one labelled scene into many: pasted objects and distractors, other plates, light, noise and framing.

Images are uint8 `h w 3` RGB arrays; randomness arrives as a numpy generator.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Image = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
GREY_SHARE = 0.25  # of plain things: white, grey or black, as robots are


@dataclass(frozen=True)
class Sprite:
    """A cut-out: its pixels and which of them belong to it."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


def cut_out(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Sprite:
    """The masked part of an image with a margin of one pixel; the mask must not be empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = (slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2))
    return Sprite(image[window].copy(), mask[window].copy())


def random_shape(size_px: int, generator: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """A box, ellipse or smooth blob of about `size_px`, turned at random."""
    side = int(1.5 * size_px) + 4
    shape = np.zeros((side, side), np.uint8)
    aspect = float(np.exp(generator.uniform(-0.9, 0.9)))
    half = (0.5 * size_px * np.sqrt(aspect), 0.5 * size_px / np.sqrt(aspect))
    centre = (side / 2, side / 2)
    kind = generator.integers(3)
    if kind == 0:
        corners = cv2.boxPoints((centre, (2 * half[0], 2 * half[1]), generator.uniform(0, 180)))
        cv2.fillPoly(shape, [corners.round().astype(np.int32)], 1)
    elif kind == 1:
        cv2.ellipse(shape, (centre, (2 * half[0], 2 * half[1]), generator.uniform(0, 180)), 1, -1)
    else:
        angles = np.sort(generator.uniform(0, 2 * np.pi, 9))
        radii = generator.uniform(0.5, 1.1, 9)
        points = np.stack([np.cos(angles) * half[0], np.sin(angles) * half[1]], 1) * radii[:, None] + side / 2
        cv2.fillPoly(shape, [points.round().astype(np.int32)], 1)
    if not shape.any():
        shape[side // 2, side // 2] = 1
    return shape.astype(bool)


def textured_sprite(picture: UInt8[np.ndarray, "h w 3"], size_px: int, generator: np.random.Generator) -> Sprite:
    """A thing with the texture of a random piece of a picture, or of one colour with shading."""
    mask = random_shape(size_px, generator)
    height, width = mask.shape
    if generator.random() < 0.5 and picture.shape[0] > height and picture.shape[1] > width:
        top, left = generator.integers(picture.shape[0] - height), generator.integers(picture.shape[1] - width)
        image = picture[top : top + height, left : left + width].astype(np.float32)
        image = image * generator.uniform(0.6, 1.3, 3)
    else:
        colour = generator.uniform(10, 245, 3)
        if generator.random() < GREY_SHARE:
            colour = colour.mean() + generator.normal(0, 6, 3)
        image = np.broadcast_to(colour, (height, width, 3)).astype(np.float32)
        if generator.random() < 0.4:
            stripe = (np.arange(height) * generator.uniform(0.1, 0.6)).astype(int) % 2 == 0
            image = np.where(stripe[:, None, None], image, generator.uniform(10, 245, 3))
    slope = generator.uniform(-0.5, 0.5, 2)
    shade = 1 + slope[0] * (np.linspace(-1, 1, height)[:, None]) + slope[1] * np.linspace(-1, 1, width)[None]
    return Sprite((image * shade[..., None]).clip(0, 255).astype(np.uint8), mask)


def turned(sprite: Sprite, scale: float, angle_deg: float) -> Sprite:
    """The sprite scaled and turned about its centre."""
    height, width = sprite.mask.shape
    side = max(int(np.ceil(np.hypot(height, width) * scale)) + 2, 3)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, scale)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    image = cv2.warpAffine(sprite.image, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(sprite.mask.astype(np.uint8), matrix, (side, side), flags=cv2.INTER_NEAREST)
    return Sprite(image, mask.astype(bool))


def place(sprite: Sprite, centre_px: tuple[float, float], shape: tuple[int, int]) -> tuple[Image, Mask]:
    """The sprite's image and mask on a canvas of `shape` (height, width), centred at (x, y), cut at the edges."""
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    height, width = sprite.mask.shape
    top, left = round(centre_px[1] - height / 2), round(centre_px[0] - width / 2)
    rows = slice(max(top, 0), min(top + height, shape[0]))
    columns = slice(max(left, 0), min(left + width, shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        image[rows, columns], mask[rows, columns] = sprite.image[part], sprite.mask[part]
    return image, mask


def blend(under: Image, over: Image, mask: Mask, softness_px: float) -> Image:
    """`over` pasted onto `under` where `mask`, with a soft outline."""
    alpha = mask.astype(np.float32)
    if softness_px > 0:
        alpha = cv2.GaussianBlur(alpha, (0, 0), softness_px)
        over = np.where(mask[..., None], over, cv2.blur(over, (3, 3)) if mask.all() else spread(over, mask))
    return (under + (over.astype(np.float32) - under) * alpha[..., None]).round().clip(0, 255).astype(np.uint8)


def spread(image: Image, mask: Mask) -> Image:
    """The masked pixels' colours carried a little beyond the mask, so that a soft outline takes them along."""
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
    colours = cv2.GaussianBlur(image.astype(np.float32) * mask[..., None], (0, 0), 1.5)
    return (colours / np.maximum(weight, 1e-3)[..., None]).clip(0, 255).astype(np.uint8)


def cast_shadow(image: Image, mask: Mask, generator: np.random.Generator) -> Image:
    """The image darkened by a blurred, shifted copy of the mask."""
    shift = generator.normal(0, 0.08 * mask.shape[0], 2)
    matrix = np.array([[1, 0, shift[0]], [0, 1, abs(shift[1])]], np.float32)
    shadow = cv2.warpAffine(mask.astype(np.float32), matrix, mask.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), generator.uniform(2, 10)) * generator.uniform(0.1, 0.55)
    return (image * (1 - shadow[..., None])).astype(np.uint8)


def random_light(
    generator: np.random.Generator, strength: float
) -> tuple[float, Float[np.ndarray, " 3"], float, float]:
    """Gamma, colour gains, contrast and saturation."""
    gains = np.exp(generator.normal(0, 0.06 * strength, 3) + generator.normal(0, 0.18 * strength))
    return (
        float(np.exp(generator.normal(0, 0.2 * strength))),
        gains.astype(np.float32),
        float(np.exp(generator.normal(0, 0.15 * strength))),
        float(np.exp(generator.normal(0, 0.25 * strength))),
    )


def relight(image: Image, light: tuple[float, Float[np.ndarray, " 3"], float, float]) -> Image:
    """The image under another light."""
    gamma, gains, contrast, saturation = light
    table = (np.linspace(0, 1, 256, dtype=np.float32) ** gamma) * 255
    out = table[image] * gains
    grey = out.mean(-1, keepdims=True)
    out = (grey + (out - grey) * saturation - 110) * contrast + 110
    return out.clip(0, 255).astype(np.uint8)


def degrade(image: Image, generator: np.random.Generator) -> Image:
    """A camera's and a codec's faults: blur, noise, compression."""
    if generator.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), generator.uniform(0.4, 1.3))
    if generator.random() < 0.6:
        noise = generator.standard_normal(image.shape, dtype=np.float32) * generator.uniform(1, 7)
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if generator.random() < 0.4:
        quality = int(generator.integers(25, 90))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def random_framing(
    shape: tuple[int, int], size: tuple[int, int], scales: tuple[float, float], generator: np.random.Generator
) -> Float[np.ndarray, "2 3"]:
    """The affine map from a picture of `shape` (height, width) to a crop of `size` (height, width)."""
    scale = float(np.exp(generator.uniform(np.log(scales[0]), np.log(scales[1]))))
    angle = np.deg2rad(generator.normal(0, 4))
    flip = -1.0 if generator.random() < 0.5 else 1.0
    stretch = float(np.exp(generator.normal(0, 0.06)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([flip * scale * stretch, scale / stretch])
    slack = np.maximum(np.array(shape[::-1]) - np.array(size[::-1]) / scale, 0) / 2
    centre = np.array(shape[::-1]) / 2 + generator.uniform(-1, 1, 2) * slack
    return np.concatenate([linear, (np.array(size[::-1]) / 2 - linear @ centre)[:, None]], 1).astype(np.float32)
