"""Thresholds of the quality gate: one per check, named after it."""

from dataclasses import dataclass, field

from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class QualityConfig:
    """configs/quality/*.yaml: the largest (`max_`) or smallest (`min_`) value that passes each check."""

    frames: int = 20  # that are segmented again, evenly spread and around grasp and release
    settle_s: float = 0.6  # after the release, before the object counts as resting
    stop_early: bool = True  # reject without segmenting where labels or whole pictures already fail
    min_part_in_front: float = 0.4  # share of a part's pixels that differ from the plate; less is no part of the object
    skip: list[str] = field(default_factory=list)  # checks that are left out, by name
    max_start_error_widths: float = 0.5  # of the object at rest from where it was asked to start
    max_goal_error_widths: float = 0.5
    min_object_seen: float = 0.8  # share of the frames at rest that show the object where nothing hides it
    min_held_seen: float = 0.5  # share of the carry that shows the object, against the source's share
    max_object_size_ratio: float = 2.0  # seen against asked at rest, or the other way round
    max_object_torn: float = 0.3  # share of a resting object's pixels apart from its largest part
    max_object_doubled: float = 0.1  # share of frames
    max_left_behind: float = 0.3  # share of the place it left that still shows the object
    max_object_colour: float = 20.0  # CIE Lab distance from the source's object, whatever the light
    max_actor_colour: float = 0.5  # share of the actor's colours that the source's actor has not
    max_object_flicker: float = 6.0  # Lab distance between looks at the resting object
    min_order: float = 0.65  # 1: neighbouring frames as alike as in the source, 0: in no order
    max_background_change: float = 0.05  # share of the background that differs from the plate
    max_frozen_s: float = 1.5  # that the picture stands still while the labels move, or longer than in the source
    min_contact: float = 0.7  # share of the carry's frames that show the object
    max_contact_after: float = 0.5  # 1: actor and object touch in the last frame, though not in the source
    max_object_drift_widths: float = 0.5  # of the resting object
    max_object_speed: float = 3.0  # times the source's
    max_label_speed: float = 1.5  # times the fastest recorded or allowed to a plan, per column
    max_action_error: float = 0.2  # between actions and the states that follow, share of each column's range
    max_path_error: float = 0.06  # between labelled and seen gripper, share of the frame's width
    max_label_lag_s: float = 0.5  # by which labels and picture agree best
    min_held_agreement: float = 0.6  # share of the object's seen way that lies in labelled holds
    max_labeller_error: float = 3.0  # of planned labels, in the labeller's own standard deviations

    def __post_init__(self) -> None:
        if self.frames < 6:
            raise ConfigError(f"quality.frames must be at least 6, got {self.frames}")
        if self.settle_s < 0:
            raise ConfigError(f"quality.settle_s must not be negative, got {self.settle_s}")
