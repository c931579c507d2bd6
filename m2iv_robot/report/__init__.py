"""The self-contained HTML page that a person checks: text, tables, pictures and small videos in one file.

`write_page(path, "Masks of my_dataset", [KeyValues(...), Images(...)], subtitle="42 episodes")`
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.errors import WriteError
from m2iv_robot.report.pictures import ACTOR_RGB, OBJECT_RGB, contact_sheet, draw_path, image_uri, overlay, video_uri

__all__ = [
    "MASK_LEGEND",
    "Image",
    "Images",
    "KeyValues",
    "Section",
    "Table",
    "Text",
    "Video",
    "Videos",
    "contact_sheet",
    "draw_path",
    "overlay",
    "write_page",
]

VERDICTS = ("", "good", "check", "bad")
MASK_LEGEND = (("object", OBJECT_RGB), ("robot", ACTOR_RGB))


@dataclass(frozen=True)
class Text:
    """Paragraphs, separated by empty lines; a verdict gives it a coloured edge."""

    title: str
    body: str
    verdict: str = ""  # one of VERDICTS

    def __post_init__(self) -> None:
        _check_verdict(self.verdict)


@dataclass(frozen=True)
class KeyValues:
    """Facts, one a row; numbers are shown as they are given, so round them first."""

    title: str
    rows: tuple[tuple[str, str], ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Cells are text; a cell that equals one of VERDICTS is shown as a coloured label."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"table {self.title!r}: a row has {len(row)} cells, the header {len(self.header)}")


@dataclass(frozen=True)
class Image:
    """One picture, what it shows in a few words, and optionally a verdict and a line of detail."""

    pixels: UInt8[Tensor, "3 h w"]
    caption: str
    verdict: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        _check_verdict(self.verdict)


@dataclass(frozen=True)
class Images:
    """A grid of pictures, each at least `width_px` wide."""

    title: str
    images: tuple[Image, ...]
    width_px: int = 300
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Video:
    """One silent looping video."""

    frames: UInt8[Tensor, "t 3 h w"]
    fps: float
    caption: str
    verdict: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        _check_verdict(self.verdict)


@dataclass(frozen=True)
class Videos:
    """Rows of videos that belong together, such as source and result, side by side."""

    title: str
    rows: tuple[tuple[Video, ...], ...]
    width_px: int = 300
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    note: str = ""


Section = Text | KeyValues | Table | Images | Videos


def write_page(path: Path, title: str, sections: Sequence[Section], subtitle: str = "") -> Path:
    """Write the page; it is either absent or whole, however the writing ends.

    Raises:
        WriteError: the page cannot be written there.
    """
    path = Path(path)
    html = render_page(title, sections, subtitle)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(html, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise WriteError(f"{path}: cannot write the page ({error.strerror}); choose another output folder") from error
    return path


def render_page(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """The page as HTML that refers to nothing outside itself."""
    return _template().render(title=title, subtitle=subtitle, sections=sections, verdicts=VERDICTS[1:])


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(
        kind=lambda section: type(section).__name__,
        image_uri=image_uri,
        video_uri=video_uri,
        paragraphs=lambda text: [part for part in text.split("\n\n") if part.strip()],
    )
    return environment.from_string(files("m2iv_robot.report").joinpath("page.html.j2").read_text(encoding="utf-8"))


def _check_verdict(verdict: str) -> None:
    if verdict not in VERDICTS:
        raise ValueError(f"verdict must be one of {VERDICTS}, got {verdict!r}")
