"""Plans that no real frame shows the arm for are refused while planning, so that other places are tried instead."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.augment.handles import compared
from m2iv_robot.augment.matching import steady_match
from m2iv_robot.augment.records import AugmentConfig
from m2iv_robot.augment.sketch import sketch_motion
from m2iv_robot.camera import CameraFit
from m2iv_robot.errors import PlanError
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.plan import Plan, arm_is_posed
from m2iv_robot.plan.scenes import SourceEpisode

LEAST_ARM_SHARE = 0.02  # of the picture: of a smaller arm hardly anything is seen to be wrong
OTHER_FRAMES = 600  # of other episodes, at most, thinned evenly


def check_bend(bend_px: float, width: int, config: AugmentConfig) -> None:
    """Refuse to bend a real arm too far.

    Raises:
        PlanError: it would be.
    """
    most_px = config.most_bend_share * width
    if bend_px > most_px:
        raise PlanError(
            f"the arm was never seen nearly so: the nearest real one lies {bend_px:.0f} px off, "
            f"most_bend_share={config.most_bend_share:g} allows {most_px:.0f}; "
            "more recorded episodes of this camera pose help"
        )


def check_seen(unseen: Bool[Tensor, "t h w"], actor: Bool[Tensor, "t h w"], config: AugmentConfig) -> None:
    """Refuse an arm that would be guessed for the most part; `unseen` are its pixels that no real frame shows.

    Raises:
        PlanError: it would be, in some frame.
    """
    missing, arm = (masks.flatten(1).sum(1).double() for masks in (unseen, actor))
    share = missing / arm.clamp(min=LEAST_ARM_SHARE * unseen[0].numel())
    if float(share.max()) > config.most_unseen_share:
        raise PlanError(
            f"{float(share.max()):.0%} of the arm was never seen as it is in frame {int(share.argmax())}, "
            f"most_unseen_share={config.most_unseen_share:g}; more recorded episodes of this camera pose help"
        )


def footage_members(index: int, episodes: tuple[int, ...], count: int) -> list[int]:
    """The episodes whose frames serve episode `index`: itself first, then the nearest others, `count` in all."""
    others = sorted((member for member in episodes if member != index), key=lambda one: (abs(one - index), one))
    return [index, *others[: count - 1]]


def thinning(lengths: list[int]) -> list[int]:
    """Of how many frames of each episode one is used: all of the first, few of the others where there are many."""
    step = max(1, -(-sum(lengths[1:]) // OTHER_FRAMES))
    return [1] + [step] * (len(lengths) - 1)


@dataclass(frozen=True)
class ArmCheck:
    """Asked by the planner about every motion that it found."""

    config: AugmentConfig

    def __call__(
        self, plan: Plan, sources: list[SourceEpisode], camera: CameraFit | None, kinematics: Kinematics | None
    ) -> None:
        """Nothing where the arm can be drawn as planned, or its links can be posed freely.

        Raises:
            PlanError: the nearest real arm is too far off.
        """
        by_index = {source.labels.index: source for source in sources}
        if plan.motion is None:
            source = by_index[plan.source_episode]
            motion, bend = sketch_motion(plan, source)
            check_bend(float(bend[motion.shown].max()), source.masks.actor.shape[-1], self.config)
            return
        if arm_is_posed(kinematics, camera):
            return
        chosen = footage_members(plan.source_episode, tuple(by_index), self.config.footage_episodes)
        members = [by_index[index] for index in chosen]
        steps = thinning([source.labels.length for source in members])
        states = [source.labels.state[::step] for source, step in zip(members, steps, strict=True)]
        seen = [source.masks.actor[::step].flatten(1).any(1) for source, step in zip(members, steps, strict=True)]
        episode = np.concatenate([np.full(len(part), place) for place, part in enumerate(states)])
        _, _, distance = compared(plan.motion.state, torch.cat(states), kinematics, camera)
        nearest = steady_match(distance, episode, torch.cat(seen).numpy())
        bend = distance[np.arange(len(distance)), nearest][~plan.motion.verbatim.numpy()]
        check_bend(float(bend.max(initial=0.0)), members[0].masks.actor.shape[-1], self.config)
