"""The main job: new episodes from a recorded dataset, as another LeRobot dataset."""

from m2iv_robot.augment.api import augment_dataset, labeller_folder, load_networks, only_camera
from m2iv_robot.augment.augmenter import Augmenter
from m2iv_robot.augment.page import summary_rows, training_lines, write_augment_page
from m2iv_robot.augment.records import AugmentConfig, AugmentReport, AugmentTask, Networks, Outcome
from m2iv_robot.augment.run import run_augmentation

__all__ = [
    "AugmentConfig",
    "AugmentReport",
    "AugmentTask",
    "Augmenter",
    "Networks",
    "Outcome",
    "augment_dataset",
    "labeller_folder",
    "load_networks",
    "only_camera",
    "run_augmentation",
    "summary_rows",
    "training_lines",
    "write_augment_page",
]
