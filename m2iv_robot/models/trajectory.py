"""Stage 1: position-conditioned trajectory generation (PT-Gen), a clip of actor and object masks from what is known.

What is known differs: the paper knows the first frame's masks and the object's last one; between two keyframes the last
actor is known too; with a motion plan the object is known throughout and so is the gripper's path. One network takes
them all, because every mask comes with a flag that says whether it is given. Where a real frame's actor can be bent to
the planned gripper, that guess is one more condition: the network mends it.
Source: Mask2IV, section "Interaction Trajectory Generation".
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot import diffusion
from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.errors import ConfigError
from m2iv_robot.models.patches import fold, unfold
from m2iv_robot.models.unet import UNetConfig, build_unet

MASKS = 2  # actor, object
LEAST_TIME = 0.05  # the velocity is (noisy - clean) / time
GUESS_ODDS = 2.0  # log-odds of a guessed pixel before the network has its say
PATH_SIGMA = 0.03  # width of the gripper's mark, as a share of the frame's height


@dataclass(frozen=True)
class TrajectoryConfig:
    """configs/trajectory/*.yaml."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    sampler: DiffusionConfig = field(default_factory=DiffusionConfig)
    patch: int = 8  # pixels folded into one cell, each way
    mask_weight: float = 5.0  # of mask pixels in the loss (the authors' training code)
    drop_last_actor: float = 0.5  # share of training clips whose last actor is not given (PT-Gen); else in-filling
    give_plan: float = 0.6  # share of training clips that are given the object throughout and the gripper's path
    give_guess: float = 0.8  # share of those that are given a guess of the actor

    def __post_init__(self) -> None:
        """Refuse shares that are none and weights that erase the masks."""
        for name in ("drop_last_actor", "give_plan", "give_guess"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"trajectory.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.patch < 1 or self.mask_weight <= 0:
            raise ConfigError("trajectory.patch and trajectory.mask_weight must be positive")


@dataclass(frozen=True)
class KnownMasks:
    """What stage 1 is told. Masks whose flag is False are ignored; a path of NaN is not known."""

    first_frame: Float[Tensor, "b 3 h w"]
    actor: Bool[Tensor, "b t h w"]
    actor_given: Bool[Tensor, "b t"]
    object: Bool[Tensor, "b t h w"]
    object_given: Bool[Tensor, "b t"]
    gripper_path_px: Float[Tensor, "b t 2"]
    actor_guess: Bool[Tensor, "b t h w"] | None = None  # a real frame's actor bent to the planned gripper
    guess_given: Bool[Tensor, "b t"] | None = None


def position_conditioned(
    first_frame: Float[Tensor, "b 3 h w"], actor: Bool[Tensor, "b t h w"], object_: Bool[Tensor, "b t h w"]
) -> KnownMasks:
    """The paper's PT-Gen: first actor and object, the object's goal in the last frame's slot, nothing between."""
    batch, length = actor.shape[:2]
    actor_given = torch.zeros(batch, length, dtype=torch.bool, device=actor.device)
    actor_given[:, 0] = True
    object_given = actor_given.clone()
    object_given[:, -1] = True
    unknown = torch.full((batch, length, 2), torch.nan, device=actor.device)
    return KnownMasks(first_frame, actor, actor_given, object_, object_given, unknown)


def between_keyframes(known: KnownMasks) -> KnownMasks:
    """Give the last frame's actor as well: in-filling between two known keyframes."""
    actor_given = known.actor_given.clone()
    actor_given[:, -1] = True
    return replace(known, actor_given=actor_given)


def along_plan(
    known: KnownMasks, gripper_path_px: Float[Tensor, "b t 2"], actor_guess: Bool[Tensor, "b t h w"] | None = None
) -> KnownMasks:
    """Guided mode: the object's mask is given in every frame, the gripper's path in pixels, perhaps a guessed actor."""
    every = torch.ones_like(known.object_given)
    return replace(
        known,
        object_given=every,
        gripper_path_px=gripper_path_px,
        actor_guess=actor_guess,
        guess_given=None if actor_guess is None else every,
    )


def path_marks(path_px: Float[Tensor, "b t 2"], height: int, width: int) -> Float[Tensor, "b t 1 h w"]:
    """A Gaussian at the gripper's pixel in each frame, in [0, 1]; all zero where the path is NaN."""
    rows = torch.arange(height, device=path_px.device, dtype=path_px.dtype)[:, None]
    columns = torch.arange(width, device=path_px.device, dtype=path_px.dtype)[None, :]
    x, y = path_px[..., 0, None, None], path_px[..., 1, None, None]
    distance = ((columns - x) ** 2 + (rows - y) ** 2) / (2 * (PATH_SIGMA * height) ** 2)
    return torch.exp(-distance).nan_to_num(0.0).unsqueeze(2)


class TrajectoryModel(nn.Module):
    """Denoises a clip of two masks in [-1, 1] (actor, object) under `KnownMasks`.

    The network estimates the clean masks, from which the velocity follows.
    """

    def __init__(self, config: TrajectoryConfig) -> None:
        super().__init__()
        self.config = config
        cells = config.patch**2
        conditions = (MASKS + 3 + 1 + 1) * cells + MASKS + 1  # masks, first frame, gripper mark, guess; their flags
        self.unet = build_unet(config.unet, in_channels=MASKS * cells + conditions, out_channels=MASKS * cells)

    def conditions(self, known: KnownMasks) -> Float[Tensor, "b t c rows columns"]:
        """Everything known, as channels beside the noise."""
        length, (height, width) = known.actor.shape[1], known.actor.shape[-2:]
        guess, guess_given = known.actor_guess, known.guess_given
        if guess is None or guess_given is None:
            guess, guess_given = torch.zeros_like(known.actor), torch.zeros_like(known.actor_given)
        given = torch.stack([known.actor_given, known.object_given, guess_given], dim=2)[..., None, None].float()
        masks = torch.cat([_signed(known.actor, known.object), guess.unsqueeze(2).float() * 2 - 1], dim=2) * given
        first = (known.first_frame * 2 - 1).unsqueeze(1).expand(-1, length, -1, -1, -1)
        marks = path_marks(known.gripper_path_px, height, width)
        folded = fold(torch.cat([masks, first, marks], dim=2), self.config.patch)
        flags = given.expand(-1, -1, -1, *folded.shape[-2:])
        return torch.cat([folded, flags], dim=2)

    def estimate(
        self,
        noisy: Float[Tensor, "b t folded rows columns"],
        time: Float[Tensor, " b"],
        conditions: Float[Tensor, "b t c rows columns"],
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, "b t 2 h w"]:
        """Log-odds of actor and object, as far as they can be told at this noise."""
        odds = unfold(self.unet(torch.cat([noisy, conditions], dim=2), time, context).float(), self.config.patch)
        cells = self.config.patch**2
        guess = unfold(conditions[:, :, MASKS * cells : (MASKS + 1) * cells].float(), self.config.patch)
        return odds + GUESS_ODDS * torch.cat([guess, torch.zeros_like(guess)], dim=2)

    def loss(
        self,
        batch: dict[str, Tensor],
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, ""]:
        """Weighted cross entropy of the estimated masks on a batch of `data/clip_dataset.py` (see `truth_of`).

        What is given is drawn here.
        """
        known = self._draw_task(truth_of(batch), generator)
        truth = _signed(known.actor, known.object)
        clean = fold(truth, self.config.patch)
        time = diffusion.draw_time(clean.shape[0], self.config.sampler, generator)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        odds = self.estimate(diffusion.add_noise(clean, noise, time), time, self.conditions(known), context)
        either = (known.actor | known.object).unsqueeze(2).expand_as(truth)
        weight = torch.where(either, self.config.mask_weight, 1.0)
        error = functional.binary_cross_entropy_with_logits(odds, (truth + 1) / 2, reduction="none")
        return (weight * error).sum() / weight.sum()

    @torch.no_grad()
    def sample(
        self,
        known: KnownMasks,
        generator: torch.Generator,
        context: Float[Tensor, "b n d"] | None = None,
    ) -> tuple[Bool[Tensor, "b t h w"], Bool[Tensor, "b t h w"]]:
        """Actor and object masks of every frame; given ones come back as they were given, and the two never overlap."""
        conditions = self.conditions(known)
        shape = (*conditions.shape[:2], MASKS * self.config.patch**2, *conditions.shape[-2:])
        noise = torch.randn(shape, generator=generator, device=conditions.device)

        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            clean = fold(torch.tanh(self.estimate(noisy, time, conditions, context) / 2), self.config.patch)
            return (noisy - clean) / time.clamp(min=LEAST_TIME).reshape(-1, 1, 1, 1, 1)

        values = unfold(diffusion.sample(predict, noise, self.config.sampler), self.config.patch)
        actor_given, object_given = known.actor_given[..., None, None], known.object_given[..., None, None]
        actor = torch.where(actor_given, known.actor, values[:, :, 0] > 0)
        object_ = torch.where(object_given, known.object, values[:, :, 1] > 0)
        object_ = object_ & ~(actor & (actor_given | ~object_given))  # a given mask wins, else the actor is in front
        return actor & ~object_, object_

    def _draw_task(self, known: KnownMasks, generator: torch.Generator) -> KnownMasks:
        """Draw per clip what is given: PT-Gen or in-filling, with a plan or without."""
        batch, device = known.actor.shape[0], known.actor.device
        keep_last = torch.rand(batch, generator=generator, device=device) >= self.config.drop_last_actor
        plan = torch.rand(batch, generator=generator, device=device) < self.config.give_plan
        base = position_conditioned(known.first_frame, known.actor, known.object)
        actor_given = base.actor_given.clone()
        actor_given[:, -1] = keep_last
        guess = plan & (torch.rand(batch, generator=generator, device=device) < self.config.give_guess)
        return replace(
            base,
            actor_given=actor_given,
            object_given=base.object_given | plan[:, None],
            gripper_path_px=torch.where(plan[:, None, None], known.gripper_path_px, torch.nan),
            actor_guess=known.actor_guess,
            guess_given=known.guess_given & guess[:, None],
        )


def truth_of(batch: dict[str, Tensor]) -> KnownMasks:
    """A collated batch of clips as the network's conditions: all masks are the truth."""
    every = torch.ones(batch["actor"].shape[:2], dtype=torch.bool, device=batch["actor"].device)
    return KnownMasks(
        first_frame=batch["first_frame"].float() / 255,
        actor=batch["actor"],
        actor_given=every,
        object=batch["object"],
        object_given=every,
        gripper_path_px=batch["gripper_path_px"],
        actor_guess=batch["actor_guess"],
        guess_given=batch["guess_given"],
    )


def _signed(actor: Bool[Tensor, "b t h w"], object_: Bool[Tensor, "b t h w"]) -> Float[Tensor, "b t 2 h w"]:
    """Masks as the network sees them: +1 inside, -1 outside."""
    return torch.stack([actor, object_], dim=2).float() * 2 - 1
