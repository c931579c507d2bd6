"""Image messages to RGB: every encoding against pixels that are known, and what is refused."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_bags import compressed, image

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.images import COMPRESSED, RAW, ImageOptions, decode_image

COLOURS = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (200, 150, 99)]], dtype=np.uint8)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", COLOURS),
        ("bgr8", COLOURS[:, :, ::-1]),
        ("8UC3", COLOURS[:, :, ::-1]),
        ("rgba8", np.dstack([COLOURS, np.full((2, 2), 9, np.uint8)])),
        ("bgra8", np.dstack([COLOURS[:, :, ::-1], np.full((2, 2), 9, np.uint8)])),
    ],
)
def test_colours_come_out_as_red_green_blue_whatever_the_order_and_the_padding(encoding, pixels, padding):
    message = image(np.ascontiguousarray(pixels), encoding=encoding, padding=padding)
    np.testing.assert_array_equal(decode_image(message, RAW), COLOURS)


def test_grey_becomes_three_equal_channels():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(decode_image(image(grey, encoding="mono8", padding=1), RAW), np.dstack([grey] * 3))


@pytest.mark.parametrize("big", [0, 1])
def test_sixteen_bits_are_read_in_the_order_that_the_message_says(big):
    values = np.array([[256, 512], [65280, 0]], dtype=np.uint16)
    stored = values.astype(">u2" if big else "<u2")
    message = image(stored.view(np.uint8).reshape(2, 4), encoding="mono16", padding=2)
    message.width, message.is_bigendian = 2, big
    np.testing.assert_array_equal(decode_image(message, RAW)[:, :, 0], values >> 8)


def test_depth_becomes_grey_within_its_range_and_black_where_unknown():
    depth_mm = np.array([[0, 200, 1100], [2000, 60000, 100]], dtype=np.uint16)
    shown = decode_image(image(depth_mm, encoding="16UC1"), RAW, ImageOptions(depth_min_m=0.2, depth_max_m=2.0))
    np.testing.assert_array_equal(shown[:, :, 0], [[0, 1, 128], [255, 255, 1]])


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", (1, 0, 3, 2)), ("yuv422_yuy2", (0, 1, 2, 3))])
def test_yuv422_gives_the_colour_of_its_luma_and_chroma(encoding, order):
    luma, blue, red = 120, 100, 170  # BT.601, video range
    wanted = [
        1.164 * (luma - 16) + 1.596 * (red - 128),
        1.164 * (luma - 16) - 0.392 * (blue - 128) - 0.813 * (red - 128),
        1.164 * (luma - 16) + 2.017 * (blue - 128),
    ]
    pair = np.array([luma, blue, luma, red], dtype=np.uint8)[list(order)]
    message = image(np.tile(pair, (2, 1)), encoding=encoding, padding=3)
    message.width = 2
    np.testing.assert_allclose(decode_image(message, RAW).reshape(-1, 3), np.tile(wanted, (4, 1)), atol=1.5)


def test_a_png_is_exact_and_a_jpeg_close():
    pixels = cv2.resize(COLOURS, (64, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(decode_image(compressed(pixels, kind="png"), COMPRESSED), pixels)
    shown = decode_image(compressed(pixels, kind="jpeg"), COMPRESSED)
    assert np.abs(shown.astype(int) - pixels).mean() < 3
    padded = compressed(pixels, kind="jpeg")
    padded.data = np.concatenate([padded.data, np.zeros(3000, np.uint8)])
    np.testing.assert_array_equal(decode_image(padded, COMPRESSED), shown)


def test_compressed_depth_is_read_behind_its_header():
    depth_mm = np.array([[0, 1100]], dtype=np.uint16)
    _, data = cv2.imencode(".png", depth_mm)
    whole = np.concatenate([np.zeros(12, np.uint8), data.reshape(-1)])
    message = SimpleNamespace(format="16UC1; compressedDepth png", data=whole)
    assert decode_image(message, COMPRESSED)[0, :, 0].tolist() == [0, 128]


def test_images_are_resized_where_the_contract_says_so():
    pixels = np.full((48, 64, 3), 90, np.uint8)
    assert decode_image(image(pixels), RAW, ImageOptions(width=32, height=24)).shape == (24, 32, 3)


def changed(**values):
    message = image(COLOURS)
    for name, value in values.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (changed(encoding="bayer_x"), "encoding 'bayer_x' cannot be read; known are rgb8"),
        (changed(data=np.zeros(11, np.uint8)), "truncated: 11 of 12 bytes"),
        (changed(height=3), "truncated: 12 of 18 bytes"),
        (changed(step=5), "step is 5 bytes"),
        (changed(width=0), "image is 0x2"),
        (changed(width=2**32 - 1, height=2**32 - 1), "8192 pixels"),
    ],
)
def test_a_raw_image_that_does_not_fit_itself_is_refused(message, why):
    with pytest.raises(RecordingError, match=why):
        decode_image(message, RAW)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_half_a_compressed_image_is_refused_rather_than_shown_grey_below(kind):
    message = compressed(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8), kind=kind)
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(RecordingError, match="truncated"):
        decode_image(message, COMPRESSED)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8nonsense\xff\xd9", b"GIF89a" + bytes(40)])
def test_what_is_no_picture_is_refused(data):
    message = SimpleNamespace(format="jpeg", data=np.frombuffer(data, np.uint8))
    with pytest.raises(RecordingError, match="compressed image"):
        decode_image(message, COMPRESSED)
