"""Pictures for a person to check: masks drawn over frames, contact sheets, and their encoding for a page."""

import base64
import io
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.types import MaskTrajectory

OBJECT_RGB = (222, 45, 38)
ACTOR_RGB = (35, 160, 80)
PATH_RGB = (30, 100, 220)
VIDEO_ENCODERS = ("libx264", "libopenh264")  # both play in every browser


@dataclass(frozen=True)
class Paint:
    """How a mask is drawn: its colour, the share of it inside the mask, and the width of its outline."""

    rgb: tuple[int, int, int]
    fill: float = 0.18
    outline_px: int = 1


def paint_mask(frame: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "h w"], paint: Paint) -> UInt8[Tensor, "3 h w"]:
    """The frame with the mask filled faintly and outlined."""
    image = frame.permute(1, 2, 0).contiguous().numpy().copy()
    inside = mask.numpy()
    tinted = (1 - paint.fill) * image[inside] + paint.fill * np.asarray(paint.rgb, dtype=np.float32)
    image[inside] = tinted.round().astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, paint.rgb, paint.outline_px)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def overlay(frames: UInt8[Tensor, "t 3 h w"], masks: MaskTrajectory, zoom: int = 1) -> UInt8[Tensor, "t 3 hz wz"]:
    """The frames with the robot outlined in green and the object in red, enlarged `zoom` times."""
    if masks.actor.shape != frames[:, 0].shape:
        raise ValueError(f"masks are {tuple(masks.actor.shape)}, frames {tuple(frames[:, 0].shape)}: they must agree")
    width_px = 1 if zoom == 1 else 2
    drawn = []
    for frame, actor, thing in zip(enlarge(frames, zoom), masks.actor, masks.object, strict=True):
        for mask, rgb in ((actor, ACTOR_RGB), (thing, OBJECT_RGB)):
            large = mask.repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
            frame = paint_mask(frame, large, Paint(rgb=rgb, outline_px=width_px))
        drawn.append(frame)
    return torch.stack(drawn)


def enlarge(frames: UInt8[Tensor, "t 3 h w"], zoom: int) -> UInt8[Tensor, "t 3 hz wz"]:
    """Frames at `zoom` times their size, so that thin lines can be drawn on them."""
    if zoom == 1:
        return frames.clone()
    size = (frames.shape[3] * zoom, frames.shape[2] * zoom)
    images = [cv2.resize(frame.permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_CUBIC) for frame in frames]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def draw_path(
    image: UInt8[Tensor, "3 h w"], path_px: Float[Tensor, "n 2"], rgb: tuple[int, int, int] = PATH_RGB
) -> UInt8[Tensor, "3 h w"]:
    """The image with a polyline through (x, y) pixels; a disc marks its end."""
    canvas = image.permute(1, 2, 0).contiguous().numpy().copy()
    points = np.round(path_px.detach().numpy().astype(np.float64) * 16).astype(np.int32)  # 4 fractional bits
    cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, rgb, 1, cv2.LINE_AA, 4)
    if len(points):
        end = (int(points[-1, 0]), int(points[-1, 1]))
        cv2.circle(canvas, end, 3 * 16, rgb, -1, cv2.LINE_AA, 4)
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous()


def contact_sheet(
    frames: UInt8[Tensor, "t 3 h w"], columns: int, count: int = 0, gap_px: int = 4
) -> UInt8[Tensor, "3 hs ws"]:
    """Frames in reading order on white; `count` > 0 keeps that many, evenly spaced, the first and last included."""
    if count and count < len(frames):
        frames = frames[torch.linspace(0, len(frames) - 1, count).round().long()]
    total, _, height, width = frames.shape
    columns = min(columns, total)
    rows = -(-total // columns)
    sheet = torch.full(
        (3, rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px), 255, dtype=torch.uint8
    )
    for position, frame in enumerate(frames):
        top, left = position // columns * (height + gap_px), position % columns * (width + gap_px)
        sheet[:, top : top + height, left : left + width] = frame
    return sheet


def image_uri(image: UInt8[Tensor, "3 h w"], quality: int = 88) -> str:
    """The image as a JPEG data address."""
    bgr = np.ascontiguousarray(image.permute(1, 2, 0).numpy()[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def video_uri(frames: UInt8[Tensor, "t 3 h w"], fps: float, crf: int = 23) -> str:
    """The frames as an H.264 mp4 data address; an odd last row or column is left off, as 4:2:0 needs even sizes."""
    height, width = (frames.shape[2] // 2 * 2, frames.shape[3] // 2 * 2)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(_encoder(), rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        stream.thread_count = 1
        for frame in frames[:, :, :height, :width]:
            pixels = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return "data:video/mp4;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _encoder() -> str:
    """The first H.264 encoder that this build of PyAV has."""
    available = [name for name in VIDEO_ENCODERS if name in av.codecs_available]
    if not available:
        raise RuntimeError(
            f"PyAV {av.__version__} has none of {', '.join(VIDEO_ENCODERS)}; reinstall it from its wheel"
        )
    return available[0]
