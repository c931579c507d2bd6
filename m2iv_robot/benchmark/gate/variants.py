"""All known-bad variants of a recorded episode that its data allow."""

import torch

from m2iv_robot.quality import SourceContext, spoiled
from m2iv_robot.types import Candidate


def made_variants(
    candidate: Candidate, context: SourceContext, other: Candidate | None, generator: torch.Generator
) -> dict[str, Candidate]:
    """Variants by name; those of labels only where there are labels that the gate can read."""
    made = {
        "object elsewhere": spoiled.object_elsewhere(candidate),
        "frames shuffled": spoiled.frames_shuffled(candidate, generator),
        "frozen midway": spoiled.frozen_midway(candidate),
        "object erased": spoiled.object_erased(candidate, context.plate),
        "object recoloured": spoiled.object_recoloured(candidate),
    }
    robot = context.robot
    if robot is None or robot.kinematics.actions is None or candidate.episode.state is None:
        return made
    state_column, action_column = robot.kinematics.gripper, robot.kinematics.actions.gripper
    made["labels 1 s late"] = spoiled.labels_shifted(candidate)
    made["gripper inverted"] = spoiled.gripper_inverted(candidate, state_column, action_column)
    if other is not None:
        made["another's actions"] = spoiled.other_actions(candidate, other)
        made["another's labels"] = spoiled.other_labels(candidate, other)
    return made
