"""Stage 2: trajectory-conditioned video generation, a clip of frames from masks and what is known of the scene.

The paper conditions on the first frame and the masks. Each further condition can be left out: the clean plate, an
exemplar (a real frame of the same camera warped onto the wanted mask), and frames that are already known (the last one
of the clip before, or source frames that the plan keeps).
Source: Mask2IV, section "Trajectory-conditioned Video Generation".
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from m2iv_robot import diffusion, masks
from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.errors import ConfigError
from m2iv_robot.models.patches import fold, unfold
from m2iv_robot.models.unet import UNetConfig, build_unet

KERNELS_PX = (3, 5, 7)  # of the random dilation or erosion
IMAGES = 4  # first frame, known frame, plate, exemplar: three channels each
FLAGS = 5  # actor, object, known frame, known plate pixel, known exemplar pixel: one channel each


@dataclass(frozen=True)
class VideoConfig:
    """configs/video/*.yaml."""

    patch: int = 4  # pixels folded into one cell, each way
    contact_weight: float = 5.0  # lambda of equation 2
    background_weight: float = 0.1  # of pixels outside the region that is pasted into the real frame
    region_margin_px: int = 9  # odd; how far the region reaches beyond the masks (soft edge, shadow)
    reshape_masks: float = 0.2  # share of training clips whose masks are dilated or eroded
    use_plate: bool = True
    use_exemplar: bool = True
    use_object_mask: bool = True  # False: the actor's mask only (CosHand's condition)
    use_actor_mask: bool = True  # both False: no masks (DynamiCrafter's condition)
    drop_condition: float = 0.1  # share of training clips without the plate, and without the exemplar

    def __post_init__(self) -> None:
        """Refuse shares and sizes that mean nothing."""
        for name in ("reshape_masks", "drop_condition"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"video.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.region_margin_px < 1 or self.region_margin_px % 2 == 0:
            raise ConfigError(f"video.region_margin_px must be odd and positive, got {self.region_margin_px}")
        if min(self.contact_weight, self.background_weight) <= 0:
            raise ConfigError("video.contact_weight and video.background_weight must be positive")


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


class VideoModel(nn.Module):
    """Denoises a clip of RGB frames in [-1, 1] under `KnownScene`."""

    def __init__(self, config: VideoConfig, unet: UNetConfig, sampler: DiffusionConfig) -> None:
        super().__init__()
        self.config, self.sampler = config, sampler
        cells = config.patch**2
        self.unet = build_unet(unet, in_channels=(3 + 3 * IMAGES + FLAGS) * cells, out_channels=3 * cells)

    def conditions(self, known: KnownScene) -> Float[Tensor, "b t c rows columns"]:
        """Everything known, as channels beside the noise; what the configuration leaves out is zero."""
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
        return fold(torch.cat(parts, dim=2), self.config.patch)

    def loss(
        self,
        known: KnownScene,
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, ""]:
        """Contact-weighted velocity error on a batch whose `frames` are the truth (which are given is drawn here)."""
        weight = fold(loss_weight(known.actor, known.object, self.config).expand_as(known.frames), self.config.patch)
        clean = fold(_signed(known.frames), self.config.patch)
        known = self._draw_task(known, generator)
        time = diffusion.draw_time(clean.shape[0], self.sampler, generator)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        noisy = diffusion.add_noise(clean, noise, time)
        predicted = self.unet(torch.cat([noisy, self.conditions(known)], dim=2), time, context)
        return diffusion.weighted_loss(predicted, diffusion.velocity_target(clean, noise), weight)

    @torch.no_grad()
    def sample(
        self,
        known: KnownScene,
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, "b t 3 h w"]:
        """Frames in [0, 1]; given ones come back exactly as they were given."""
        conditions = self.conditions(known)
        shape = (*conditions.shape[:2], 3 * self.config.patch**2, *conditions.shape[-2:])
        noise = torch.randn(shape, generator=generator, device=conditions.device)

        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            return self.unet(torch.cat([noisy, conditions], dim=2), time, context)

        values = unfold(diffusion.sample(predict, noise, self.sampler), self.config.patch)
        return torch.where(known.frames_given[..., None, None, None], known.frames, (values + 1) / 2)

    def _draw_task(self, known: KnownScene, generator: torch.Generator) -> KnownScene:
        """Draw per clip which end frames are given, which conditions are missing, and whether masks are reshaped."""
        batch, length = known.frames_given.shape
        device = known.frames.device

        def draw(share: float) -> Bool[Tensor, " b"]:
            return torch.rand(batch, generator=generator, device=device) < share

        given = torch.zeros(batch, length, dtype=torch.bool, device=device)
        given[:, 0], given[:, -1] = draw(0.75), draw(0.25)
        state = generator.get_state()
        actor = reshape_at_random(known.actor, self.config.reshape_masks, generator)
        generator.set_state(state)  # both masks of a clip change the same way
        object_ = reshape_at_random(known.object, self.config.reshape_masks, generator)
        return replace(
            known,
            actor=actor,
            object=object_,
            frames_given=given,
            plate_known=known.plate_known & ~draw(self.config.drop_condition)[:, None, None],
            exemplar_known=known.exemplar_known & ~draw(self.config.drop_condition)[:, None, None, None],
        )


def _signed(image: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """From [0, 1] to the network's [-1, 1]."""
    return image * 2 - 1
