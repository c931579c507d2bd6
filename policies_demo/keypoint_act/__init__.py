"""LeRobot policy plugin: ACT whose encoder is a small network of keypoints, for computers without a GPU.

`--policies_demo.discover_packages_path=policies_demo.keypoint_act --policy.type=keypoint_act` (with `--policy.` before
discover_packages_path, lerobot-eval would take it for a setting of the policy). LeRobot wants a package whose
import registers its policies, and finds `modeling_*` and `processor_*` beside `configuration_*` by name.
"""

from policies_demo.keypoint_act.configuration_keypoint_act import KeypointActConfig

__all__ = ["KeypointActConfig"]
