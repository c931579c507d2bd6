"""Normalisation before and after ACT on keypoints: ACT's own."""

from lerobot.policies.act.processor_act import make_act_pre_post_processors as make_keypoint_act_pre_post_processors

__all__ = ["make_keypoint_act_pre_post_processors"]
