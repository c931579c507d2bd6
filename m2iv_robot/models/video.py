"""Stage 2: trajectory-conditioned video generation, a clip of frames from masks and what is known of the scene.

The paper conditions on the first frame and the masks. Each further condition can be left out: the clean plate, an
exemplar (a real frame of the same camera warped onto the wanted mask), and frames that are already known (the last one
of the clip before, or source frames that the plan keeps).
Source: Mask2IV, section "Trajectory-conditioned Video Generation".

The network estimates the clean clip, from which the velocity follows. It need not paint what it can copy: per pixel it
mixes its own colour with the plate's, the first frame's and the exemplar's. What is mixed may be larger than what the
network saw: the shares are then enlarged, not the pictures.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot import diffusion, masks
from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.errors import ConfigError
from m2iv_robot.models.judge import Judge
from m2iv_robot.models.patches import fold, unfold
from m2iv_robot.models.unet import UNetConfig, build_unet

KERNELS_PX = (3, 5, 7)  # of the random dilation or erosion
IMAGES = 4  # first frame, known frame, plate, exemplar: three channels each
FLAGS = 5  # actor, object, known frame, known plate pixel, known exemplar pixel: one channel each
SOURCES = 4  # of a pixel's colour: the network's own, plate, first frame, exemplar
SOURCE_CHANNELS = (slice(0, 3), slice(6, 9), slice(9, 12), slice(15, 16), slice(16, 17))  # of the conditions
NEVER = -1e4  # logit of a source that has nothing there
FIRST_LOGITS = (-2.0, 2.0, 0.0, 4.0)  # before training: the exemplar where there is one, else the plate
LEAST_TIME = 0.05  # the velocity is (noisy - clean) / time
ROUND_LOSS = 0.05  # below this error (of [-1, 1]) the loss is a parabola, above nearly linear


@dataclass(frozen=True)
class VideoConfig:
    """configs/video/*.yaml."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    sampler: DiffusionConfig = field(default_factory=DiffusionConfig)
    patch: int = 4  # pixels folded into one cell, each way
    contact_weight: float = 5.0  # lambda of equation 2
    background_weight: float = 0.1  # of pixels outside the region that is pasted into the real frame
    perceptual_weight: float = 0.25  # of the feature distance in the region, beside the pixels' error
    region_margin_px: int = 9  # odd; how far the region reaches beyond the masks (soft edge, shadow)
    reshape_masks: float = 0.2  # share of training clips whose masks are dilated or eroded
    use_plate: bool = True
    use_exemplar: bool = True
    use_object_mask: bool = True  # False: the actor's mask only (CosHand's condition)
    use_actor_mask: bool = True  # both False: no masks (DynamiCrafter's condition)
    drop_condition: float = 0.1  # share of training clips without the plate, without the exemplar, without the
    # object's mask, and without any mask (each drawn apart)

    def __post_init__(self) -> None:
        """Refuse shares and sizes that mean nothing."""
        for name in ("reshape_masks", "drop_condition"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"video.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.region_margin_px < 1 or self.region_margin_px % 2 == 0:
            raise ConfigError(f"video.region_margin_px must be odd and positive, got {self.region_margin_px}")
        if min(self.contact_weight, self.background_weight) <= 0 or self.perceptual_weight < 0:
            raise ConfigError(
                "video: contact_weight and background_weight must be positive, perceptual_weight not negative"
            )


@dataclass(frozen=True)
class KnownScene:
    """What stage 2 is told; images in [0, 1]. Pixels and frames whose flag is False are ignored."""

    first_frame: Float[Tensor, "b 3 h w"]
    actor: Bool[Tensor, "b t h w"]
    object: Bool[Tensor, "b t h w"]
    frames: Float[Tensor, "b t 3 h w"]
    frames_given: Bool[Tensor, "b t"]
    plate: Float[Tensor, "b 3 h w"]
    plate_known: Bool[Tensor, "b h w"]
    exemplar: Float[Tensor, "b t 3 h w"]
    exemplar_known: Bool[Tensor, "b t h w"]

    def at(self, frame: int) -> "KnownScene":
        """The scene of one frame alone."""
        timed = ("actor", "object", "frames", "frames_given", "exemplar", "exemplar_known")
        return replace(self, **{name: getattr(self, name)[:, frame : frame + 1] for name in timed})


def reshape_at_random(
    mask: Bool[Tensor, "b t h w"], share: float, generator: torch.Generator
) -> Bool[Tensor, "b t h w"]:
    """Dilate or erode the masks of a random share of clips by a kernel of 3, 5 or 7 pixels."""
    batch, device = mask.shape[0], mask.device
    chosen = (torch.rand(batch, generator=generator, device=device) < share).tolist()
    kernel = torch.randint(len(KERNELS_PX), (batch,), generator=generator, device=device).tolist()
    grow = (torch.rand(batch, generator=generator, device=device) < 0.5).tolist()
    changed = mask.clone()
    for index in (i for i in range(batch) if chosen[i]):
        change = masks.dilate if grow[index] else masks.erode
        changed[index] = change(mask[index], KERNELS_PX[kernel[index]])
    return changed


def loss_weight(
    actor: Bool[Tensor, "b t h w"], object_: Bool[Tensor, "b t h w"], config: VideoConfig
) -> Float[Tensor, "b t 1 h w"]:
    """Weight per pixel: (1 - m_c) + lambda * m_c in the region around the masks, little outside it.

    Source: Mask2IV, equations 1 and 2; the region is this project's (only it is ever shown).
    """
    region = masks.dilate(actor | object_, config.region_margin_px)
    weight = torch.where(region, 1.0, config.background_weight)
    return torch.where(masks.contact_map(actor, object_), config.contact_weight, weight).unsqueeze(2)


@dataclass(frozen=True)
class Mixture:
    """What the network says of a clip: its own colours in [-1, 1], and each source's logit."""

    own: Float[Tensor, "b t 3 h w"]
    logits: Float[Tensor, "b t sources h w"]

    def at(self, frame: int) -> "Mixture":
        """What it says of one frame."""
        return Mixture(self.own[:, frame : frame + 1], self.logits[:, frame : frame + 1])


@dataclass(frozen=True)
class Sources:
    """Pictures in [-1, 1] that colours are copied from, and where two of them are known."""

    first: Float[Tensor, "b t 3 h w"]
    plate: Float[Tensor, "b t 3 h w"]
    exemplar: Float[Tensor, "b t 3 h w"]
    plate_known: Float[Tensor, "b t 1 h w"]
    exemplar_known: Float[Tensor, "b t 1 h w"]


def sources_in(conditions: Float[Tensor, "b t c h w"]) -> Sources:
    """What can be copied, out of `VideoModel.conditions`."""
    return Sources(*(conditions[:, :, channels].float() for channels in SOURCE_CHANNELS))


def blend(mixture: Mixture, sources: Sources) -> Float[Tensor, "b t 3 h w"]:
    """The clip in [-1, 1], at the size of the pictures that it is mixed from."""
    size = sources.plate.shape[-2:]
    never = torch.zeros_like(sources.exemplar_known, dtype=torch.bool)
    absent = torch.cat([never, sources.plate_known < 0.5, never, sources.exemplar_known < 0.5], dim=2)
    logits = _enlarged(mixture.logits, size, "bilinear").masked_fill(absent, NEVER)
    own = _enlarged(mixture.own, size, "bicubic")
    colours = torch.stack([own, sources.plate, sources.first, sources.exemplar], dim=2)
    return (logits.softmax(dim=2).unsqueeze(3) * colours).sum(dim=2)


class VideoModel(nn.Module):
    """Denoises a clip of RGB frames in [-1, 1] under `KnownScene`."""

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.config = config
        self.judge: Judge | None = None  # who adds the feature distance to the loss
        cells = config.patch**2
        channels = (3 + 3 * IMAGES + FLAGS) * cells
        self.unet = build_unet(config.unet, in_channels=channels, out_channels=(3 + SOURCES) * cells)

    def conditions(self, known: KnownScene) -> Float[Tensor, "b t c h w"]:
        """Everything known, as images beside the noise; what the configuration leaves out is zero."""
        length = known.actor.shape[1]
        every = (-1, length, -1, -1, -1)
        given = known.frames_given[..., None, None, None].expand(-1, -1, 1, *known.actor.shape[-2:]).float()
        plate_known = known.plate_known[:, None, None].expand(every).float() * self.config.use_plate
        exemplar_known = known.exemplar_known.unsqueeze(2).float() * self.config.use_exemplar
        parts = [
            _signed(known.first_frame).unsqueeze(1).expand(every),
            _signed(known.frames) * given,
            _signed(known.plate).unsqueeze(1).expand(every) * plate_known,
            _signed(known.exemplar) * exemplar_known,
            known.actor.unsqueeze(2).float() * self.config.use_actor_mask,
            known.object.unsqueeze(2).float() * self.config.use_object_mask,
            given,
            plate_known,
            exemplar_known,
        ]
        return torch.cat(parts, dim=2)

    def estimate(
        self,
        noisy: Float[Tensor, "b t folded rows columns"],
        time: Float[Tensor, " b"],
        conditions: Float[Tensor, "b t c h w"],
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, "b t 3 h w"]:
        """The clean clip in [-1, 1], as far as it can be told at this noise."""
        return blend(self.mixture(noisy, time, conditions, context), sources_in(conditions))

    def mixture(
        self,
        noisy: Float[Tensor, "b t folded rows columns"],
        time: Float[Tensor, " b"],
        conditions: Float[Tensor, "b t c h w"],
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Mixture:
        """How the clean clip is mixed, as far as it can be told at this noise."""
        seen = torch.cat([noisy, fold(conditions, self.config.patch)], dim=2)
        pixels = unfold(self.unet(seen, time, context).float(), self.config.patch)
        return Mixture(pixels[:, :, :3], pixels[:, :, 3:] + pixels.new_tensor(FIRST_LOGITS)[:, None, None])

    def loss(
        self,
        batch: dict[str, Tensor],
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, ""]:
        """Contact-weighted error of the estimated clip on a batch of `data/clip_dataset.py` (see `scene_of`).

        Which frames and conditions are given is drawn here.
        """
        known = scene_of(batch)
        weight = loss_weight(known.actor, known.object, self.config)
        truth = _signed(known.frames)
        clean = fold(truth, self.config.patch)
        known = self._draw_task(known, generator)
        time = diffusion.draw_time(clean.shape[0], self.config.sampler, generator)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        noisy = diffusion.add_noise(clean, noise, time)
        drawn = self.estimate(noisy, time, self.conditions(known), context)
        rounded = ((drawn - truth).square() + ROUND_LOSS**2).sqrt() - ROUND_LOSS
        weight = weight.expand_as(rounded)
        loss = (weight * rounded).sum() / weight.sum()
        if self.judge is None or self.config.perceptual_weight == 0:
            return loss
        region = weight[:, :, 0] > self.config.background_weight
        with torch.autocast(drawn.device.type, enabled=False):
            distance = self.judge.distance((drawn + 1) / 2, (truth + 1) / 2, region)
        return loss + self.config.perceptual_weight * distance

    @torch.no_grad()
    def sample(
        self,
        known: KnownScene,
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
        fine: KnownScene | None = None,
    ) -> Float[Tensor, "b t 3 h2 w2"]:
        """Frames in [0, 1]; given ones come back exactly as they were given.

        `fine` is the same scene in larger pictures (its masks are not looked at): frames are then mixed from those.
        """
        conditions = self.conditions(known)
        batch, length, _, height, width = conditions.shape
        patch = self.config.patch
        shape = (batch, length, 3 * patch**2, height // patch, width // patch)
        noise = torch.randn(shape, generator=generator, device=conditions.device)
        mixed = []

        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            mixed[:] = [self.mixture(noisy, time, conditions, context)]
            clean = fold(blend(mixed[0], sources_in(conditions)), patch)
            return (noisy - clean) / time.clamp(min=LEAST_TIME).reshape(-1, 1, 1, 1, 1)

        values = unfold(diffusion.sample(predict, noise, self.config.sampler), patch)
        if fine is not None:  # the last step ends at the clean clip that it estimated
            parts = [blend(mixed[0].at(i), sources_in(self.conditions(fine.at(i)))) for i in range(length)]
            known, values = fine, torch.cat(parts, dim=1).clamp(-1, 1)
        return torch.where(known.frames_given[..., None, None, None], known.frames, (values + 1) / 2)

    def _draw_task(self, known: KnownScene, generator: torch.Generator) -> KnownScene:
        """Draw per clip which end frames are given, which conditions are missing, and whether masks are reshaped."""
        batch, length = known.frames_given.shape
        device, share = known.frames.device, self.config.drop_condition

        def draw(share: float) -> Bool[Tensor, "b 1 1 1"]:
            return (torch.rand(batch, generator=generator, device=device) < share)[:, None, None, None]

        given = torch.zeros(batch, length, dtype=torch.bool, device=device)
        given[:, 0], given[:, -1] = draw(0.6).flatten(), draw(0.15).flatten()
        state = generator.get_state()
        actor = reshape_at_random(known.actor, self.config.reshape_masks, generator)
        generator.set_state(state)  # both masks of a clip change the same way
        object_ = reshape_at_random(known.object, self.config.reshape_masks, generator)
        no_masks, no_object, no_exemplar = draw(share), draw(share), draw(share)
        return replace(
            known,
            actor=actor & ~no_masks,
            object=object_ & ~(no_masks | no_object),
            frames_given=given,
            plate_known=known.plate_known & ~draw(share)[:, 0],
            exemplar_known=known.exemplar_known & ~(no_exemplar | no_masks | no_object),
        )


def scene_of(batch: dict[str, Tensor]) -> KnownScene:
    """A collated batch of clips (uint8 images, bool masks) as the network's conditions: all frames are the truth."""
    frames = batch["frames"].float() / 255
    return KnownScene(
        first_frame=batch["first_frame"].float() / 255,
        actor=batch["actor"],
        object=batch["object"],
        frames=frames,
        frames_given=torch.zeros(frames.shape[:2], dtype=torch.bool, device=frames.device),
        plate=batch["plate"].float() / 255,
        plate_known=batch["plate_known"],
        exemplar=batch["exemplar"].float() / 255,
        exemplar_known=batch["exemplar_known"],
    )


def _enlarged(video: Float[Tensor, "b t c h w"], size: tuple[int, int], how: str) -> Float[Tensor, "b t c h2 w2"]:
    """Pictures at another size; the same ones where they have it."""
    if video.shape[-2:] == size:
        return video
    larger = functional.interpolate(video.flatten(0, 1), size, mode=how, align_corners=False)
    return larger.unflatten(0, video.shape[:2])


def _signed(image: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """From [0, 1] to the network's [-1, 1]."""
    return image * 2 - 1
