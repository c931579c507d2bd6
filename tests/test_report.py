"""The HTML page and the pictures on it."""

import base64
import io
import re
from html.parser import HTMLParser

import av
import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.errors import WriteError
from m2iv_robot.report import (
    MASK_LEGEND,
    Image,
    Images,
    KeyValues,
    Table,
    Text,
    Video,
    Videos,
    contact_sheet,
    draw_path,
    overlay,
    write_page,
)
from m2iv_robot.report.pictures import ACTOR_RGB, OBJECT_RGB, PATH_RGB, image_uri, video_uri
from m2iv_robot.types import MaskTrajectory


@pytest.fixture
def gradient():
    """A smooth colour image, which JPEG and H.264 keep well."""
    y, x = torch.meshgrid(torch.linspace(0, 255, 48), torch.linspace(0, 255, 64), indexing="ij")
    return torch.stack([x, y, 255 - x]).to(torch.uint8)


@pytest.fixture
def every_section(gradient):
    frames = torch.stack([gradient] * 3)
    return [
        Text("Words", "First paragraph.\n\nSecond <b>paragraph</b>.", "check"),
        KeyValues("Facts", (("episodes", "3"),)),
        Table("Episodes", ("episode", "verdict"), (("0", "good"), ("1", "bad"))),
        Images("Pictures", (Image(gradient, "a picture", "good", "a detail"),), legend=MASK_LEGEND),
        Videos("Motion", ((Video(frames, 10.0, "source"), Video(frames, 10.0, "result")),)),
    ]


def decode_image(uri):
    raw = np.frombuffer(base64.b64decode(uri.partition("base64,")[2]), np.uint8)
    return torch.from_numpy(cv2.imdecode(raw, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1)


def psnr_db(one, other):
    return float(10 * torch.log10(255**2 / ((one.float() - other.float()) ** 2).mean()))


def masks_of_squares():
    actor, thing = torch.zeros(2, 1, 20, 30, dtype=torch.bool)
    actor[0, 2:10, 2:10] = True
    thing[0, 12:18, 20:28] = True
    return MaskTrajectory(actor=actor, object=thing, confidence=torch.ones(1))


class References(HTMLParser):
    """Collects what a page refers to, and whether its tags are balanced."""

    def __init__(self):
        super().__init__()
        self.addresses, self.open_tags = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "poster", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def test_a_page_of_every_section_is_well_formed_and_refers_to_nothing_outside(tmp_path, every_section):
    page = write_page(tmp_path / "deep" / "page.html", "Title", every_section, "subtitle").read_text()
    parser = References()
    parser.feed(page)
    assert parser.open_tags == []
    assert all(address.startswith(("data:", "#")) for address in parser.addresses)
    assert "url(" not in page
    assert "@import" not in page
    assert [address[:10] for address in parser.addresses if address[0] == "d"] == ["data:image", *["data:video"] * 2]


def test_text_given_by_datasets_cannot_inject_markup(tmp_path):
    hostile = "<script>alert(1)</script>"
    sections = [
        Text(hostile, hostile),
        KeyValues(hostile, ((hostile, hostile),)),
        Table(hostile, (hostile,), ((hostile,),)),
        Images(hostile, (Image(torch.zeros(3, 4, 4, dtype=torch.uint8), f'"{hostile}', detail=hostile),)),
    ]
    page = write_page(tmp_path / "page.html", hostile, sections, hostile).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 12


def test_verdicts_are_shown_as_labels(tmp_path, every_section):
    page = write_page(tmp_path / "page.html", "Title", every_section).read_text()
    assert len(re.findall(r'class="verdict good"', page)) == 2
    assert len(re.findall(r'class="verdict bad"', page)) == 1
    assert '<section id="s1" class="check">' in page


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="verdict must be one of"):
        Text("title", "body", "splendid")


def test_a_row_that_does_not_fit_its_header_is_refused():
    with pytest.raises(ValueError, match="a row has 1 cells, the header 2"):
        Table("Episodes", ("episode", "verdict"), (("0",),))


def test_an_earlier_page_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    for title in ("one", "two"):
        write_page(tmp_path / "page.html", title, [])
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert "<h1>two</h1>" in (tmp_path / "page.html").read_text()


def test_a_page_that_cannot_be_written_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"file/page\.html: cannot write the page .* choose another output folder"):
        write_page(tmp_path / "file" / "page.html", "Title", [])


def test_an_overlay_changes_masked_pixels_only_and_outlines_in_the_two_colours():
    frames = torch.full((1, 3, 20, 30), 128, dtype=torch.uint8)
    masks = masks_of_squares()
    drawn = overlay(frames, masks)
    changed = (drawn != frames).any(1)
    assert torch.equal(changed, masks.actor | masks.object)
    assert tuple(drawn[0, :, 2, 2].tolist()) == ACTOR_RGB
    assert tuple(drawn[0, :, 12, 20].tolist()) == OBJECT_RGB
    assert (frames == 128).all()


def test_the_inside_of_a_mask_is_tinted_by_its_share():
    drawn = overlay(torch.zeros(1, 3, 20, 30, dtype=torch.uint8), masks_of_squares())
    assert drawn[0, :, 5, 5].tolist() == [round(0.18 * value) for value in ACTOR_RGB]


def test_an_enlarged_overlay_shows_the_same_places(gradient):
    frames = gradient[None, :, :20, :30]
    drawn = overlay(frames, masks_of_squares(), zoom=3)
    assert drawn.shape == (1, 3, 60, 90)
    assert tuple(drawn[0, :, 6, 6].tolist()) == ACTOR_RGB
    plain = drawn[:, :, 33:60, 9:54]  # no mask there
    assert psnr_db(plain[0, :, 1::3, 1::3], frames[0, :, 11:20, 3:18]) > 40


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="they must agree"):
        overlay(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), masks_of_squares())


def test_a_path_runs_through_its_points_and_nowhere_far_from_them():
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    drawn = draw_path(image, torch.tensor([[5.0, 20.0], [50.0, 20.0]]))
    assert drawn[:, 20, 25].tolist() == pytest.approx(PATH_RGB, abs=20)  # smoothed edges
    rows = drawn.any(0).any(1).nonzero().flatten()
    assert rows.min() >= 16
    assert rows.max() <= 24
    assert not image.any()


def test_a_contact_sheet_holds_first_and_last_frame_in_their_places():
    frames = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 4, 6).contiguous()
    sheet = contact_sheet(frames, columns=2, count=4, gap_px=1)
    assert sheet.shape == (3, 9, 13)
    assert [int(sheet[0, y, x]) for y, x in ((0, 0), (0, 7), (5, 0), (8, 12))] == [0, 3, 6, 9]
    assert (sheet[:, 4] == 255).all()


def test_a_sheet_is_no_wider_than_its_frames():
    assert contact_sheet(torch.zeros(2, 3, 4, 6, dtype=torch.uint8), columns=5, gap_px=2).shape == (3, 4, 14)


def test_an_embedded_image_decodes_to_itself(gradient):
    assert psnr_db(decode_image(image_uri(gradient)), gradient) > 32


@pytest.mark.parametrize("fps", [3.0, 29.97])
def test_an_embedded_video_decodes_to_its_frames_at_its_speed(gradient, fps):
    frames = torch.stack([gradient.roll(4 * shift, 2) for shift in range(7)])[:, :, :47]
    raw = base64.b64decode(video_uri(frames, fps, crf=12).partition("base64,")[2])
    with av.open(io.BytesIO(raw)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-3)
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    decoded = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
    assert decoded.shape == (7, 3, 46, 64)
    assert psnr_db(decoded, frames[:, :, :46]) > 28
