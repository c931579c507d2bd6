"""Training samples of both stages, drawn from stores of clips. Sample `index` of a seed is always the same."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from m2iv_robot.data.clip_store import Clip, group_of, load_clip
from m2iv_robot.errors import ConfigError
from m2iv_robot.exemplar import bend, build_exemplar
from m2iv_robot.masks import iou
from m2iv_robot.types import MaskTrajectory

NEAREST_TIPS = 3  # real frames that a guessed actor is drawn from


@dataclass(frozen=True)
class ClipConfig:
    """configs/clips/*.yaml: what a training sample is."""

    frames: int = 8  # of a sample
    most_stride: int = 3  # of the stored frames
    height: int = 96  # of a sample, px
    width: int = 128
    whole: bool = False  # the whole picture at the sample's size (stage 1), else a crop (stage 2)
    least_width: int = 160  # the picture is brought to a width drawn between these two before it is cropped
    most_width: int = 320
    flip: float = 0.5  # share of samples that are mirrored
    recolour: float = 0.5  # share of samples with other exposure and tint
    tip_noise_px: float = 2.0  # spread of the gripper's path
    apart: float = 0.25  # of a clip: how far away the frame is that a guessed actor is bent from
    near_exemplar: float = 0.5  # share of samples whose exemplar comes from a frame beside the wanted one
    held_out_groups: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.frames < 2 or self.most_stride < 1:
            raise ConfigError("clips.frames must be at least 2 and clips.most_stride at least 1")
        if not 16 <= self.least_width <= self.most_width:
            raise ConfigError("clips.least_width must be at least 16 and no more than clips.most_width")


class ClipDataset(Dataset):
    """Samples from several stores of clips, each drawn with its weight; held-out groups never."""

    def __init__(self, stores: list[Path], weights: list[float], config: ClipConfig, seed: int) -> None:
        self.stores = [clips_in(folder, config.held_out_groups) for folder in stores]
        empty = [str(folder) for folder, clips in zip(stores, self.stores, strict=True) if not clips]
        if not stores or empty:
            raise ConfigError(f"no clips to train on in {empty or stores}; build them: m2iv train train.part=clips")
        weights = weights or [float(len(clips)) for clips in self.stores]
        if len(weights) != len(stores) or min(weights) <= 0:
            raise ConfigError("training: every store needs a positive weight")
        self.config, self.seed, self.shares = config, seed, np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, index])
        store = self.stores[int(generator.choice(len(self.stores), p=self.shares))]
        return draw_sample(load_clip(store[int(generator.integers(len(store)))]), self.config, generator)


def clips_in(folder: Path, held_out_groups: list[str]) -> list[Path]:
    """The clips of a store, without those of held-out groups."""
    paths = sorted(path for path in Path(folder).glob("*.npz") if not path.name.endswith(".partial.npz"))
    return [path for path in paths if not held_out_groups or group_of(path) not in held_out_groups]


def collate_clips(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch: every entry stacked along a new first axis."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


@dataclass(frozen=True)
class Window:
    """Which part of a clip's pictures a sample shows: resized to `size` (width, height), then cropped from (x, y)."""

    size: tuple[int, int]
    x: int
    y: int
    height: int
    width: int
    flip: bool


def draw_sample(clip: Clip, config: ClipConfig, generator: np.random.Generator) -> dict[str, Tensor]:
    """A sample of a clip, images uint8, masks bool: whole pictures as stage 1 reads them, or crops for stage 2."""
    chosen = draw_frames(len(clip.frames), config, generator)
    window = draw_window(clip, chosen, config, generator)
    gains = draw_gains(config, generator)
    actor = parts(clip.actor[chosen], window)
    sample = {
        "first_frame": images(clip.frames[:1], window, gains)[0],
        "actor": actor,
        "object": parts(clip.object[chosen], window) & ~actor,
    }
    if config.whole:
        noise = torch.from_numpy(generator.normal(0, config.tip_noise_px, (1, 2))).float()
        guess, given = guess_actor(clip, chosen, config, generator)
        path = (seen_path(clip, window) + noise)[chosen]
        return sample | {"gripper_path_px": path, "actor_guess": parts(guess, window), "guess_given": given}
    exemplar, exemplar_known = draw_exemplar(clip, chosen, config, generator)
    return sample | {
        "frames": images(clip.frames[chosen], window, gains),
        "plate": images(clip.plate[None], window, gains)[0],
        "plate_known": parts(clip.plate_known[None], window)[0],
        "exemplar": images(exemplar, window, gains),
        "exemplar_known": parts(exemplar_known, window),
    }


def draw_frames(length: int, config: ClipConfig, generator: np.random.Generator) -> list[int]:
    """Evenly spaced frame numbers, now and then backwards in time."""
    most = min(config.most_stride, (length - 1) // (config.frames - 1))
    if most < 1:
        raise ConfigError(f"clips.frames is {config.frames}, a stored clip has {length}; take fewer")
    stride = int(generator.integers(1, most + 1))
    first = int(generator.integers(0, length - stride * (config.frames - 1)))
    chosen = [first + stride * step for step in range(config.frames)]
    return chosen[::-1] if not config.whole and generator.random() < 0.3 else chosen


def draw_exemplar(
    clip: Clip, chosen: list[int], config: ClipConfig, generator: np.random.Generator
) -> tuple[UInt8[Tensor, "t 3 h w"], Bool[Tensor, "t h w"]]:
    """The stored exemplar from far away, or one from the next frame but few, as good as a plan's own source frame."""
    if generator.random() >= config.near_exemplar:
        return clip.exemplar[chosen], clip.exemplar_known[chosen]
    offset = int(generator.integers(1, 3)) * int(generator.choice([-1, 1]))
    index = torch.tensor(chosen)
    beside = index + offset
    beside = torch.where((beside < 0) | (beside >= len(clip.frames)), index - offset, beside)
    found = build_exemplar(
        clip.frames[beside],
        MaskTrajectory(clip.actor[beside], clip.object[beside], torch.ones(len(chosen))),
        MaskTrajectory(clip.actor[chosen], clip.object[chosen], torch.ones(len(chosen))),
        torch.eye(len(chosen), dtype=torch.bool),
    )
    return found.image, found.known


def draw_window(clip: Clip, chosen: list[int], config: ClipConfig, generator: np.random.Generator) -> Window:
    """The whole picture, or a crop at a random scale around a pixel of actor or object."""
    height, width = clip.plate.shape[-2:]
    flip = bool(generator.random() < config.flip)
    if config.whole:
        return Window((config.width, config.height), 0, 0, config.height, config.width, flip)
    wide = int(generator.integers(config.least_width, config.most_width + 1))
    wide = max(wide, config.width, int(np.ceil(config.height * width / height)))
    size = (wide, max(config.height, round(height * wide / width)))
    things = clip.object[chosen] if generator.random() < 0.5 else clip.actor[chosen] | clip.object[chosen]
    places = torch.nonzero(things.any(0)) if bool(things.any()) else torch.tensor([[height // 2, width // 2]])
    row, column = places[int(generator.integers(len(places)))].tolist()
    corner = []
    for centre, full, shown in (
        (column * wide / width, wide, config.width),
        (row * wide / width, size[1], config.height),
    ):
        place = centre - shown / 2 + generator.uniform(-0.3, 0.3) * shown
        corner.append(int(np.clip(place, 0, full - shown)))
    return Window(size, corner[0], corner[1], config.height, config.width, flip)


def draw_gains(config: ClipConfig, generator: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Exposure and tint of a sample, one for all its pictures."""
    if generator.random() >= config.recolour:
        return np.ones(3)
    return generator.uniform(0.75, 1.2) * generator.uniform(0.93, 1.07, 3)


def images(
    video: UInt8[Tensor, "t 3 h w"], window: Window, gains: Float[np.ndarray, " 3"]
) -> UInt8[Tensor, "t 3 h2 w2"]:
    """Pictures of a window."""
    shown = []
    for picture in video.permute(0, 2, 3, 1).contiguous().numpy():
        part = _cropped(_resized(picture, window.size, cv2.INTER_AREA), window).astype(np.float32) * gains
        shown.append(np.clip(part, 0, 255).round().astype(np.uint8))
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).contiguous()


def parts(masks: Bool[Tensor, "t h w"], window: Window) -> Bool[Tensor, "t h2 w2"]:
    """Masks of a window."""
    shown = []
    for mask in masks.numpy():
        shown.append(_cropped(_resized(mask.astype(np.float32), window.size, cv2.INTER_AREA), window) > 0.499)
    return torch.from_numpy(np.ascontiguousarray(np.stack(shown)))


def seen_path(clip: Clip, window: Window) -> Float[Tensor, "n 2"]:
    """The gripper's path in a window's pixels."""
    height, width = clip.plate.shape[-2:]
    scale = torch.tensor([window.size[0] / width, window.size[1] / height])
    path = (clip.gripper_path_px + 0.5) * scale - 0.5 - torch.tensor([float(window.x), float(window.y)])
    if window.flip:
        path[:, 0] = window.width - 1 - path[:, 0]
    return path


def guess_actor(
    clip: Clip, chosen: list[int], config: ClipConfig, generator: np.random.Generator
) -> tuple[Bool[Tensor, "t h w"], Bool[Tensor, " t"]]:
    """For each frame the actor of another one far away in time, bent so that its tip is where it should be."""
    guess = torch.zeros_like(clip.actor[chosen])
    given = torch.zeros(len(chosen), dtype=torch.bool)
    tips = clip.gripper_path_px.numpy()
    usable = ~np.isnan(tips).any(1) & clip.actor.flatten(1).any(1).numpy()
    for place, frame in enumerate(chosen):
        far = np.flatnonzero(usable & (np.abs(np.arange(len(tips)) - frame) >= config.apart * len(tips)))
        if np.isnan(tips[frame]).any() or not len(far):
            continue
        nearest = far[np.argsort(np.linalg.norm(tips[far] - tips[frame], axis=1))[:NEAREST_TIPS]]
        drawn = [bend(clip.actor[source].numpy(), tips[source], tips[frame]) for source in nearest]
        overlaps = iou(torch.from_numpy(np.stack(drawn)), clip.actor[frame].expand(len(drawn), -1, -1))
        best = int(overlaps.argmax()) if generator.random() < 0.7 else int(generator.integers(len(drawn)))
        guess[place] = torch.from_numpy(drawn[best])
        given[place] = True
    return guess, given


def _resized(picture: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    enlarged = size[0] > picture.shape[1] or size[1] > picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if enlarged else how)


def _cropped(picture: np.ndarray, window: Window) -> np.ndarray:
    part = picture[window.y : window.y + window.height, window.x : window.x + window.width]
    return part[:, ::-1] if window.flip else part
