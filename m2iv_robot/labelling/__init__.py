"""Learned labels: what is fitted to a dataset's own episodes reads state and action off video.

The fallback where no kinematics are known, and a second opinion on planned labels.
"""

from m2iv_robot.labelling.fitting import fit_labeller
from m2iv_robot.labelling.reading import (
    LabelEstimate,
    LabelTrustConfig,
    check_trusted,
    estimate_labels,
    load_labeller,
    read_seen,
    usual_error,
)
from m2iv_robot.labelling.watching import Watched, labels_of, watch

__all__ = [
    "LabelEstimate",
    "LabelTrustConfig",
    "Watched",
    "check_trusted",
    "estimate_labels",
    "fit_labeller",
    "labels_of",
    "load_labeller",
    "read_seen",
    "usual_error",
    "watch",
]
