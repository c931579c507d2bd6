"""Masks and frames of whole episodes from the two networks: any length, any size, untouched pixels bit for bit."""

from m2iv_robot.generation.frames import generate_frames
from m2iv_robot.generation.mask_trajectories import generate_masks
from m2iv_robot.generation.records import GenerationConfig, SourceScene, WantedMasks, WantedVideo

__all__ = ["GenerationConfig", "SourceScene", "WantedMasks", "WantedVideo", "generate_frames", "generate_masks"]
