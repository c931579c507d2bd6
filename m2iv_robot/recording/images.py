"""Image messages to RGB pixels; the messages are anything with the fields of sensor_msgs (rclpy's, rosbags')."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from m2iv_robot.errors import RecordingError

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (RAW, COMPRESSED)
MAX_SIDE_PX = 8192
DEPTH_HEADER_BYTES = 12  # of compressed_depth_image_transport: before the PNG
MILLIMETRES = 1000.0
END_MARKS = {
    "JPEG": b"\xff\xd9",
    "PNG": b"IEND",
}  # a decoder fills up what is missing before them with grey, in silence
MAX_PADDING_BYTES = 1 << 16  # zeros that some cameras send behind a jpeg


@dataclass(frozen=True)
class ImageOptions:
    """What the pixels should become."""

    width: int = 0  # 0: as they come
    height: int = 0
    depth_min_m: float = 0.2
    depth_max_m: float = 2.0


@dataclass(frozen=True)
class _Encoding:
    bytes_per_pixel: int
    to_rgb: Callable[[np.ndarray], np.ndarray]  # h w (channels) -> h w 3


def decode_image(message: object, kind: str, options: ImageOptions | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of an image message of type `kind`.

    Raises:
        RecordingError: the encoding is unknown, the size is out of range, or data are missing or damaged.
    """
    options = options or ImageOptions()
    pixels = _decode_raw(message, options) if kind == RAW else _decode_compressed(message, options)
    if options.width and pixels.shape[:2] != (options.height, options.width):
        shrinks = options.width <= pixels.shape[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (options.width, options.height), interpolation=way)
    return np.ascontiguousarray(pixels)


def depth_to_grey(depth_mm: np.ndarray, options: ImageOptions) -> UInt8[np.ndarray, "h w 3"]:
    """Depth (uint16, mm) as grey: 1 up to `depth_min_m`, 255 from `depth_max_m` on, 0 where it is unknown (0 mm)."""
    span = options.depth_max_m - options.depth_min_m
    share = np.clip((depth_mm.astype(np.float32) / MILLIMETRES - options.depth_min_m) / span, 0.0, 1.0)
    grey = np.where(depth_mm == 0, 0, np.rint(1 + 254 * share)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _decode_raw(message: object, options: ImageOptions) -> np.ndarray:
    encoding = str(message.encoding).lower()
    if encoding not in ENCODINGS:
        raise RecordingError(f"image encoding {message.encoding!r} cannot be read; known are {', '.join(ENCODINGS)}")
    height, width, step = int(message.height), int(message.width), int(message.step)
    _check_size(width, height)
    depth = ENCODINGS[encoding]
    row = width * depth.bytes_per_pixel
    data = np.frombuffer(memoryview(message.data), np.uint8)
    step = step or row
    if step < row:
        raise RecordingError(f"image step is {step} bytes, a row of {width} {encoding} pixels needs {row}")
    needed = (height - 1) * step + row
    if data.size < needed:
        raise RecordingError(f"image data are truncated: {data.size} of {needed} bytes for {width}x{height} {encoding}")
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    if encoding in ("16uc1", "mono16"):
        order = ">u2" if message.is_bigendian else "<u2"
        values = np.ascontiguousarray(rows).view(order).astype(np.uint16)
        return depth_to_grey(values, options) if encoding == "16uc1" else _grey((values >> 8).astype(np.uint8))
    if depth.bytes_per_pixel == 1:
        return depth.to_rgb(np.ascontiguousarray(rows))
    if encoding.startswith("yuv422") and width % 2:
        raise RecordingError(f"image width is {width}; {encoding} needs an even one")
    return depth.to_rgb(np.ascontiguousarray(rows).reshape(height, width, depth.bytes_per_pixel))


def _decode_compressed(message: object, options: ImageOptions) -> np.ndarray:
    data = np.frombuffer(memoryview(message.data), np.uint8)
    layout = str(message.format)
    if "compresseddepth" in layout.lower().replace(" ", ""):
        data = data[DEPTH_HEADER_BYTES:]
    try:
        with Image.open(io.BytesIO(data)) as header:  # reads the header alone
            kind, (width, height) = header.format, header.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecordingError(f"compressed image ({layout!r}, {data.size} bytes) cannot be read: {error}") from error
    if kind not in END_MARKS:
        raise RecordingError(f"compressed image is {kind}; jpeg and png can be read")
    _check_size(width, height)
    if END_MARKS[kind] not in data[-MAX_PADDING_BYTES:].tobytes().rstrip(b"\0")[-len(END_MARKS[kind]) - 4 :]:
        raise RecordingError(
            f"compressed image ({layout!r}, {data.size} bytes) is truncated: the end of the {kind} is missing"
        )
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED if kind == "PNG" else cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise RecordingError(f"compressed image ({layout!r}) cannot be decoded: {error.err}") from error
    if pixels is None:
        raise RecordingError(f"compressed image ({layout!r}, {data.size} bytes) is damaged or truncated")
    if pixels.dtype == np.uint16:
        if pixels.ndim > 2:
            return _from_bgr((pixels[:, :, :3] >> 8).astype(np.uint8))
        depth = "16uc1" in layout.lower()
        return depth_to_grey(pixels, options) if depth else _grey((pixels >> 8).astype(np.uint8))
    if pixels.ndim == 2:
        return _grey(pixels)
    return _from_bgr(pixels[:, :, :3])


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise RecordingError(f"image is {width}x{height}; sides of 1 to {MAX_SIDE_PX} pixels can be recorded")


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, None], 3, axis=2)


def _from_bgr(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2RGB)


def _converted(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, lambda pixels: pixels),
    "bgr8": _Encoding(3, _from_bgr),
    "8uc3": _Encoding(3, _from_bgr),
    "rgba8": _Encoding(4, lambda pixels: pixels[:, :, :3]),
    "bgra8": _Encoding(4, _converted(cv2.COLOR_BGRA2RGB)),
    "mono8": _Encoding(1, _grey),
    "8uc1": _Encoding(1, _grey),
    "mono16": _Encoding(2, _grey),
    "16uc1": _Encoding(2, _grey),
    "yuv422": _Encoding(2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": _Encoding(2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": _Encoding(2, _converted(cv2.COLOR_YUV2RGB_YUY2)),
    "yuyv": _Encoding(2, _converted(cv2.COLOR_YUV2RGB_YUY2)),
}
