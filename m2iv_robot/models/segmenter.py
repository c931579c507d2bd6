"""The light network that finds actor and object in a frame of a fixed camera.

It compares the frame with the empty scene (cues, added to ImageNet features on their way up) and each place with what
the object and its surroundings looked like in a reference frame (nearest-neighbour matching of embeddings).
Source: EfficientNet-Lite (Tan & Le 2019); matching as in FEELVOS (Voigtlaender et al. 2019, section 3.3).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot.errors import ConfigError
from m2iv_robot.models.efficientnet import Encoder, EncoderConfig

CLASSES = 3  # background, actor, object
CUE_CHANNELS = 12  # frame 3, plate 3, difference 3, known 1, hint 1, rest 1
ACTOR_OR_OBJECT = 3  # a label: one of the two
UNKNOWN = 255  # a label: not known
STRIDE = 32  # height and width of the input are multiples of it
REFERENCE_POINTS = 96  # of the object that are matched against
MATCH_SHARPNESS = 10.0


@dataclass(frozen=True)
class SegmenterConfig:
    """configs/segmenter/*.yaml: sizes of the network."""

    stem_channels: int = 32
    channels: list[int] = field(default_factory=lambda: [16, 24, 40, 80, 112, 192, 320])
    depths: list[int] = field(default_factory=lambda: [1, 2, 2, 3, 3, 4, 1])
    decoder_channels: int = 64
    embedding_channels: int = 24
    frozen_stages: int = 2  # of the encoder, with its stem: not trained
    object_weight: float = 3.0  # of an object pixel in the cross entropy

    def __post_init__(self) -> None:
        if self.decoder_channels < 8 or self.embedding_channels < 1:
            raise ConfigError("segmenter: decoder_channels must be at least 8, embedding_channels at least 1")
        self.encoder()

    def encoder(self) -> EncoderConfig:
        """The encoder's sizes."""
        return EncoderConfig(self.stem_channels, list(self.channels), list(self.depths), self.frozen_stages)


@dataclass(frozen=True)
class SegmenterInput:
    """What the network is told of each frame; all in [0, 1], h and w multiples of 32."""

    frame: Float[Tensor, "b 3 h w"]
    plate: Float[Tensor, "b 3 h w"]
    known: Float[Tensor, "b 1 h w"]  # 1 where the plate is known
    hint: Float[Tensor, "b 1 h w"]  # a prompt in this very frame: click (blob), box or mask; 0 without one
    rest: Float[Tensor, "b 1 h w"]  # where the object lies before or after it is moved, as far as known; 0 elsewhere


@dataclass(frozen=True)
class Reference:
    """What the object and the rest of the scene look like, as embeddings; the `valid` ones count."""

    object_points: Float[Tensor, "b n c"]
    object_valid: Bool[Tensor, "b n"]
    background_points: Float[Tensor, "b m c"]
    background_valid: Bool[Tensor, "b m"]


class SeparableBlock(nn.Module):
    """Filter each channel over 5x5, mix the channels, add to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(4, channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """One block."""
        return features + self.mix(functional.relu(self.widen(self.norm(self.filter(features)))))


class Segmenter(nn.Module):
    """Frame, empty scene and hints to logits of background, actor and object."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder())
        widths, wide = config.encoder().output_channels, config.decoder_channels
        self.cue_stem = nn.Conv2d(CUE_CHANNELS, 32, 5, 2, 2)
        self.cue_down = nn.ModuleList([nn.Conv2d(32, 32, 3, 2, 1), nn.Conv2d(32, 48, 3, 2, 1)])
        self.cue_out = nn.ModuleList([nn.Conv2d(32, widths[1], 1), nn.Conv2d(48, widths[2], 1)])
        for layer in self.cue_out:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.lateral = nn.ModuleList([nn.Conv2d(width, wide, 1) for width in widths[1:]])
        self.cue_lateral = nn.ModuleList([nn.Conv2d(32, wide, 1), nn.Conv2d(48, wide, 1)])
        self.fuse = nn.ModuleList([SeparableBlock(wide) for _ in widths[1:]])
        self.embed = nn.Conv2d(wide, config.embedding_channels, 1)
        self.match = nn.Conv2d(wide + 3, wide, 1)
        self.decide = SeparableBlock(wide)
        self.fine = nn.Conv2d(widths[0] + 32, 24, 1)
        self.coarse = nn.Conv2d(wide, 24, 1)
        self.sharpen = nn.Conv2d(24, 24, 3, padding=1)
        self.logits = nn.Conv2d(24, CLASSES, 1)

    def features(self, given: SegmenterInput) -> tuple[Float[Tensor, "b c i j"], Float[Tensor, "b d k l"]]:
        """Scene features at stride 4 (i j) and fine ones at stride 2 (k l)."""
        difference = (given.frame - given.plate).abs() * given.known
        cue = torch.cat([given.frame, given.plate, difference, given.known, given.hint, given.rest], dim=1)
        cues = [functional.relu(self.cue_stem(cue))]
        for layer in self.cue_down:
            cues.append(functional.relu(layer(cues[-1])))
        levels = self.encoder(given.frame, [out(each) for out, each in zip(self.cue_out, cues[1:], strict=True)])
        hidden = None
        for level in reversed(range(1, len(levels))):
            side = self.lateral[level - 1](levels[level])
            if level <= len(self.cue_lateral):
                side = side + self.cue_lateral[level - 1](cues[level])
            if hidden is not None:
                side = side + functional.interpolate(hidden, scale_factor=2.0, mode="bilinear", align_corners=False)
            hidden = self.fuse[level - 1](side)
        return hidden, torch.cat([levels[0], cues[0]], dim=1)

    def remember(self, scene: Float[Tensor, "b c i j"], object_mask: Float[Tensor, "b 1 h w"]) -> Reference:
        """What to match against: embeddings of the object's pixels in a reference frame, and of everything else there.

        A mask that is zero everywhere means: no reference.
        """
        points = functional.normalize(self.embed(scene).float(), dim=1)  # b c i j
        share = functional.interpolate(object_mask.float(), size=scene.shape[-2:], mode="area").flatten(1)  # b ij
        best, where = share.topk(min(REFERENCE_POINTS, share.shape[1]), dim=1)
        given = share.amax(1, keepdim=True) > 0
        object_points = points.flatten(2).transpose(1, 2).gather(1, where[..., None].expand(-1, -1, points.shape[1]))
        valid = (best >= 0.5 * best[:, :1].clamp(max=1)) & given
        coarse = functional.avg_pool2d(points, 4, ceil_mode=True)  # b c i/4 j/4
        free = functional.max_pool2d(share.unflatten(1, scene.shape[-2:])[:, None], 4, ceil_mode=True).flatten(1) == 0
        return Reference(
            object_points, valid, functional.normalize(coarse, dim=1).flatten(2).transpose(1, 2), free & given
        )

    def decode(
        self, scene: Float[Tensor, "b c i j"], fine: Float[Tensor, "b d k l"], reference: Reference
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits at the input's size."""
        points = functional.normalize(self.embed(scene).float(), dim=1)
        likeness = [
            nearest(points, reference.object_points, reference.object_valid),
            nearest(points, reference.background_points, reference.background_valid),
        ]
        present = reference.object_valid.any(1).to(points.dtype)[:, None, None, None].expand_as(likeness[0])
        hidden = self.decide(
            self.match(torch.cat([scene, *[each.to(scene.dtype) for each in likeness], present.to(scene.dtype)], dim=1))
        )
        hidden = functional.interpolate(self.coarse(hidden), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        hidden = functional.relu(hidden + self.fine(fine))
        hidden = functional.relu(hidden + self.sharpen(hidden))
        return functional.interpolate(
            self.logits(hidden).float(), scale_factor=2.0, mode="bilinear", align_corners=False
        )

    def forward(
        self,
        given: SegmenterInput,
        reference_given: SegmenterInput | None,
        reference_object: Float[Tensor, "b 1 h w"] | None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of background, actor, object; without a reference the object is what hints and scene make of it."""
        scene, fine = self.features(given)
        if reference_given is None or reference_object is None:
            return self.decode(scene, fine, self.remember(scene, torch.zeros_like(given.known)))
        return self.decode(scene, fine, self.remember(self.features(reference_given)[0], reference_object))

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        """Loss of a batch of pairs: the first half of each tensor is reference frames, the second half asks about them.

        Keys: frame, plate, known, hint, rest (see `SegmenterInput`), labels `2b h w`, reference `b 1 h w`.
        `generator` is not used: the network draws nothing.
        """
        given = SegmenterInput(*(batch[name] for name in ("frame", "plate", "known", "hint", "rest")))
        scene, fine = self.features(given)
        half = scene.shape[0] // 2
        reference = self.remember(scene[:half], batch["reference"])
        blank = self.remember(scene[:half], torch.zeros_like(batch["reference"]))
        first = self.decode(scene[:half], fine[:half], blank)
        second = self.decode(scene[half:], fine[half:], reference)
        return segmentation_loss(torch.cat([first, second]), batch["labels"], self.config.object_weight)


def nearest(
    points: Float[Tensor, "b c i j"], memory: Float[Tensor, "b n c"], valid: Bool[Tensor, "b n"]
) -> Float[Tensor, "b 1 i j"]:
    """Cosine similarity of each place with the most similar valid point of the memory; -1 where there is none."""
    height, width = points.shape[-2:]
    similarity = memory @ points.flatten(2)  # b n ij
    similarity = similarity.masked_fill(~valid[..., None], -1.0)
    return similarity.max(1).values.unflatten(1, (height, width))[:, None]


def segmentation_loss(
    logits: Float[Tensor, "b 3 h w"], labels: Int[Tensor, "b h w"], object_weight: float
) -> Float[Tensor, ""]:
    """Cross entropy plus soft Jaccard of actor and object, over known pixels.

    `ACTOR_OR_OBJECT` asks for the two classes' sum; `UNKNOWN` asks nothing.
    """
    log_p = logits.float().log_softmax(1)
    either = torch.logsumexp(log_p[:, 1:], dim=1)
    known = labels != UNKNOWN
    target = labels.clamp(max=2).where(known, torch.zeros_like(labels))
    picked = log_p.gather(1, target[:, None])[:, 0]
    picked = torch.where(labels == ACTOR_OR_OBJECT, either, picked)
    weight = known.float() * torch.where(labels == 2, object_weight, 1.0)
    cross_entropy = -(picked * weight).sum() / weight.sum().clamp(min=1)
    told = (known & (labels != ACTOR_OR_OBJECT)).float()
    p = log_p.exp()
    jaccard = logits.new_zeros(())
    for label in (1, 2):
        truth = (labels == label).float() * told
        guess = p[:, label] * told
        overlap = (truth * guess).sum((1, 2))
        union = (truth + guess).sum((1, 2)) - overlap
        present = (truth.sum((1, 2)) >= 12).float()
        jaccard = jaccard + ((1 - overlap / union.clamp(min=1)) * present).sum() / present.sum().clamp(min=1)
    return cross_entropy + 0.5 * jaccard
