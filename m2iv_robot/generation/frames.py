"""Stage 2 on whole episodes: clip after clip in a crop around what moves, put into the real picture."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot import masks
from m2iv_robot.background import composite
from m2iv_robot.exemplar import Exemplar, build_exemplar
from m2iv_robot.generation.clips import (
    clip_generator,
    clip_indices,
    resize_frames,
    spans,
    unknown_runs,
    working_size,
)
from m2iv_robot.generation.records import GenerationConfig, SourceScene, WantedVideo
from m2iv_robot.models.video import KnownScene, VideoModel

STAGE = 2
LEAST_CROP_PX = 128  # of the picture at the network's scale
Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive


def generate_frames(
    model: VideoModel,
    scene: SourceScene,
    wanted: WantedVideo,
    seed: int,
    config: GenerationConfig | None = None,
) -> UInt8[Tensor, "t 3 h w"]:
    """Every frame at the source's size; given ones, and pixels away from actor and object, are bit for bit as given.

    Clips follow one another, each seeing the episode's first frame and the last frame of the clip before it; a clip
    that runs into given frames sees the first of them. The result depends on nothing but the arguments.
    """
    config = config or GenerationConfig()
    exemplar = wanted.exemplar
    if exemplar is None:
        exemplar = build_exemplar(scene.frames, scene.masks, wanted.masks, wanted.allowed)
    background = wanted.background
    if background is None:
        background = scene.plate.image.expand(len(wanted.frames), -1, -1, -1)
    film = _Film(model, scene, wanted, exemplar, background, config)
    frames, known = wanted.frames.clone(), wanted.frames_given.clone()
    for first, last in unknown_runs(known):
        start, end = max(first - 1, 0), min(last + 1, len(known) - 1)
        for a, b in spans(start, end, config.clip_frames) or [(start, end)]:
            film.shoot(frames, known, (a, b), clip_generator(seed, STAGE, a, film.device))
    return frames


def crop_box(region: Bool[Tensor, "h w"], share: float, least_width: int) -> Box:
    """The box around a region, larger by `share` each way, of the picture's own shape, and inside it."""
    height, width = region.shape
    box = masks.bounding_box(region)
    if box is None:
        return 0, 0, width, height
    left, top, right, bottom = box
    scale = max((right - left) / width, (bottom - top) / height) * (1 + 2 * share)
    scale = min(1.0, max(scale, least_width / width))
    columns, rows = round(width * scale), round(height * scale)
    x = min(max(0, (left + right - columns) // 2), width - columns)
    y = min(max(0, (top + bottom - rows) // 2), height - rows)
    return x, y, x + columns, y + rows


@dataclass
class _Film:
    """What all clips of an episode share."""

    model: VideoModel
    scene: SourceScene
    wanted: WantedVideo
    exemplar: Exemplar
    background: UInt8[Tensor, "t 3 h w"]
    config: GenerationConfig

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.either = self.wanted.masks.actor | self.wanted.masks.object

    def shoot(
        self,
        frames: UInt8[Tensor, "t 3 h w"],
        known: Bool[Tensor, " t"],
        ends: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        """Sample the clip between two frames, and put what it shows into those that are not known (in place)."""
        chosen = clip_indices(*ends, self.config.clip_frames)
        box = crop_box(self.either[ends[0] : ends[1] + 1].any(0), self.config.crop_share, LEAST_CROP_PX)
        height, width = box[3] - box[1], box[2] - box[0]
        multiple = self.model.config.patch * 2 ** (len(self.model.config.unet.channels) - 1)
        scale = min(1.0, self.config.picture_width_px / frames.shape[-1], self.config.width_px / width)
        size = working_size(height, width, scale, multiple)
        seen, fine = (self._known_scene(frames, known, chosen, box, shape) for shape in (size, (height, width)))
        clip = self.model.sample(seen, generator, fine=fine)[0].cpu()
        new = {frame: position for position, frame in enumerate(chosen) if not known[frame]}
        order, places = list(new), list(new.values())
        part = (slice(None), slice(None), slice(box[1], box[3]), slice(box[0], box[2]))
        margin = max(1, round(self.model.config.region_margin_px / scale)) | 1
        region = masks.dilate(self.either[order], margin)[part[1:]]
        pictures = (255 * clip[places]).round().clamp(0, 255).to(torch.uint8)
        drawn = composite(self.background[order][part], pictures, region, self.config.edge_px)
        for frame, picture in zip(order, drawn, strict=True):
            frames[frame] = self.background[frame]
            frames[frame, :, box[1] : box[3], box[0] : box[2]] = picture
            known[frame] = True

    def _known_scene(
        self,
        frames: UInt8[Tensor, "t 3 h w"],
        known: Bool[Tensor, " t"],
        chosen: list[int],
        box: Box,
        size: tuple[int, int],
    ) -> KnownScene:
        given = torch.zeros(len(chosen), dtype=torch.bool)
        given[0], given[-1] = known[chosen[0]], known[chosen[-1]]

        def picture(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h2 w2"]:
            return resize_frames(images[..., box[1] : box[3], box[0] : box[2]], *size).to(self.device)

        def mask(values: Bool[Tensor, "n h w"]) -> Bool[Tensor, "n h2 w2"]:
            return masks.resize(values[..., box[1] : box[3], box[0] : box[2]], *size).to(self.device)

        plate = self.scene.plate
        return KnownScene(
            first_frame=picture(self.wanted.first_frame[None]),
            actor=mask(self.wanted.masks.actor[chosen])[None],
            object=mask(self.wanted.masks.object[chosen])[None],
            frames=picture(frames[chosen])[None],
            frames_given=given[None].to(self.device),
            plate=picture(plate.image[None]),
            plate_known=mask(plate.known[None]),
            exemplar=picture(self.exemplar.image[chosen])[None],
            exemplar_known=mask(self.exemplar.known[chosen])[None],
        )
