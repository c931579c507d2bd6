"""Masks for every episode of a dataset, plates for every camera pose, and the page on which a person checks them."""

from m2iv_robot.annotate.episodes import (
    AnnotationConfig,
    AnnotationReport,
    AnnotationTask,
    EpisodeAnnotation,
    annotate_dataset,
    phases_of,
)
from m2iv_robot.annotate.page import write_annotation_page

__all__ = [
    "AnnotationConfig",
    "AnnotationReport",
    "AnnotationTask",
    "EpisodeAnnotation",
    "annotate_dataset",
    "phases_of",
    "write_annotation_page",
]
