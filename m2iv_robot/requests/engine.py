"""What runs a request: annotate, plan, make, judge, write, with models that are loaded once."""

import importlib.resources
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
import yaml

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.augment.api import load_networks
from m2iv_robot.augment.augmenter import Augmenter, number_plans
from m2iv_robot.augment.footage import Library, wrist_cameras
from m2iv_robot.augment.records import AugmentConfig, AugmentTask, Made
from m2iv_robot.augment.run import check_labels, plan_task, robots_of
from m2iv_robot.camera import CameraConfig
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import Dataset, EpisodeWriter, WriterConfig, format_like
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, M2IVError, PlanError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import PlanReport, plan_dataset
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.quality import QualityConfig, QualityGate
from m2iv_robot.requests.cancelling import Cancel, CancelledError
from m2iv_robot.requests.live import place_now
from m2iv_robot.requests.preview import save_preview
from m2iv_robot.requests.request import AugmentRequest, RequestLimits, check_request, inside
from m2iv_robot.segmentation import load_segmenter, parse_segmentation
from m2iv_robot.segmentation.prompts import PromptConfig

STAGES = {"annotate": (0.0, 0.2), "plan": (0.2, 0.4)}  # which share of the work a stage is; making is the rest
MADE_FROM = 0.4


class Told(Protocol):
    """Who is told how it goes."""

    def progress(self, message: str, share: float) -> None:
        """How far it is."""

    def episode(self, accepted: bool, message: str, preview: str) -> None:
        """An episode was made."""


@dataclass(frozen=True)
class EngineConfig:
    """What the generator's process is started with."""

    data_root: str
    output_root: str
    preview_folder: str = ""  # where episodes are left to be shown; "" leaves none
    device: str = ""  # "": a GPU if there is one
    segmentation: str = "learned"  # configuration in configs/segmentation
    masks: str = "warped"  # as augment.masks
    renderer: str = "network"  # as augment.renderer
    robot: str = "auto"  # configuration in configs/robot
    camera_fit: str = "default"  # configuration in configs/camera_fit
    trajectory_weights: str = ""
    video_weights: str = ""
    gate: bool = True  # judge episodes before they are written

    def __post_init__(self) -> None:
        AugmentConfig(masks=self.masks, renderer=self.renderer)  # refuses unknown names
        try:
            torch.device(self.device or "cpu")
        except RuntimeError as error:
            raise ConfigError(f"device {self.device!r}: {str(error).splitlines()[0]}") from error


class Engine:
    """Kept state: the segmenter and the networks."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the models.

        Raises:
            CheckpointError: weights are missing or damaged.
            ConfigError: a configuration does not ship.
        """
        self.config = config
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(config.device or usual)
        settings = _shipped("segmentation", config.segmentation)
        if "device" in settings:
            settings["device"] = str(self.device)
        self.segmenter = load_segmenter(parse_segmentation(settings))
        learned = str(settings.get("weights", "")) if config.segmentation == "learned" else None
        self.networks = load_networks(self._settings(count=1, seed=0), segmenter=learned)
        self._annotated: dict[tuple, dict[int, M2IVError]] = {}  # what was annotated by now -> the episodes that failed
        self.gate = QualityGate(preset(QualityConfig, "quality", "default"), self.segmenter) if config.gate else None

    def describe(self) -> dict:
        """What is loaded, as plain JSON."""
        return {"device": str(self.device), "weights": self.networks.hashes, "segmentation": self.config.segmentation}

    def run(self, request: AugmentRequest, told: Told, cancel: Cancel) -> str:
        """Make the episodes that the request asks for; returns what became of them.

        Raises:
            M2IVError: it cannot be done, and why.
            CancelledError: it was cancelled; what was written before stays.
        """
        limits = RequestLimits(self.config.data_root, self.config.output_root, max(request.count, 1))
        dataset = check_request(request, limits)
        root = inside(request.output, self.config.output_root, "output")
        task = self._task(request, dataset, root)
        told.progress("finding robot and object", 0.0)
        with cancel.heard():
            self._annotate(request, task.annotation, told)
            if request.live_frame:
                task = placed_at(task, place_now(task.annotation, request))
            planned = self._plan(request, task, told)
            augmenter = self._augmenter(task, planned)
        return self._make(request, augmenter, planned, told, cancel)

    def _annotate(self, request: AugmentRequest, annotation: AnnotationTask, told: Told) -> None:
        """Masks of all episodes, once for each dataset, camera and prompt.

        Raises:
            M2IVError: the request's episode has none.
        """
        dataset = annotation.dataset
        key = (dataset.root, dataset.episode_count, annotation.camera, annotation.store.root, annotation.settings_hash)
        if key not in self._annotated:
            self._annotated[key] = dict(annotate_dataset(annotation, _telling(told, "annotate")).failures)
        if request.episode in self._annotated[key]:
            raise self._annotated[key][request.episode]

    def _plan(self, request: AugmentRequest, task: AugmentTask, told: Told) -> PlanReport:
        """Plans from the request's episode alone."""
        plans = plan_task(task, round(request.count * (1 + task.config.spare)))
        plans = replace(plans, config=replace(plans.config, only=request.episode))
        planned = plan_dataset(plans, _telling(told, "plan"))
        failed = tuple(entry for entry in planned.failures if entry[0] == request.episode)
        planned = replace(planned, failures=failed)
        check_labels(task, planned)
        return planned

    def _augmenter(self, task: AugmentTask, planned: PlanReport) -> Augmenter:
        plans = plan_task(task, 1)
        kinematics = kinematics_of(plans)
        library = Library(task, plans, kinematics, robots_of(plans, kinematics, planned))
        return Augmenter(task, library, wrist_cameras(task) if task.config.wrist != "drop" else ())

    def _make(
        self, request: AugmentRequest, augmenter: Augmenter, planned: PlanReport, told: Told, cancel: Cancel
    ) -> str:
        task = augmenter.task
        scenes = {index: scene for scene in planned.scenes for index in scene.episodes}
        output = format_like(task.annotation.dataset, cameras=(request.camera, *augmenter.wrists), extra=())
        written = rejected = refused = 0
        cancelled: CancelledError | None = None
        with EpisodeWriter(task.root, output, task.writer, settings={"requested": True}) as writer:
            for numbered in number_plans(planned.plans, request.seed):
                if written == request.count:
                    break
                told.progress(f"episode {written + 1} of {request.count}", _share(written, request.count))
                try:
                    with cancel.heard():
                        made = augmenter.make(numbered, scenes[numbered.plan.source_episode])
                except PlanError:
                    refused += 1
                    continue
                except CancelledError as error:
                    cancelled = error  # what was accepted before is published all the same
                    break
                if not writer.write(made.candidate, made.report):
                    continue  # an earlier request made the same episode
                written, rejected = written + made.report.accepted, rejected + (not made.report.accepted)
                told.episode(made.report.accepted, _verdict(made), self._preview(made))
        if cancelled is not None:
            raise cancelled
        return f"{written} of {request.count} episodes in {task.root}; {rejected} rejected, {refused} plans refused"

    def _task(self, request: AugmentRequest, dataset: Dataset, root: Path) -> AugmentTask:
        prompt = prompt_of(request)
        decides = {"prompt": asdict(prompt), "segmentation": self.config.segmentation, "robot": self.config.robot}
        annotation = AnnotationTask(
            dataset=dataset,
            camera=request.camera,
            segmenter=self.segmenter,
            store=MaskStore(root.with_name(f"{root.name}_masks")),
            settings=json.dumps(decides),
            prompt=prompt,
            robot=preset(RobotConfig, "robot", self.config.robot),
            camera_check=preset(CameraConfig, "camera_fit", self.config.camera_fit),
        )
        placement = preset(PlacementConfig, "placement", request.kind)
        return AugmentTask(
            annotation=annotation,
            root=root,
            networks=self.networks,
            placement=replace(placement, at_px=list(request.goal_xy), task=request.task),
            writer=WriterConfig(codec="h264"),
            config=self._settings(request.count, request.seed),
            gate=self.gate,
        )

    def _settings(self, count: int, seed: int) -> AugmentConfig:
        return AugmentConfig(
            count=count,
            seed=seed,
            masks=self.config.masks,
            renderer=self.config.renderer,
            trajectory_weights=self.config.trajectory_weights,
            video_weights=self.config.video_weights,
            device=str(self.device),
        )

    def _preview(self, made: Made) -> str:
        if not self.config.preview_folder:
            return ""
        provenance = made.candidate.provenance
        name = f"{provenance.source_episode}_{provenance.seed}.npz"
        path = Path(self.config.preview_folder) / name
        save_preview(path, made.candidate, made.report.accepted)
        return str(path)


def _shipped(group: str, name: str) -> dict:
    path = importlib.resources.files("configs") / group / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"{group}={name}: no such configuration ships")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def prompt_of(request: AugmentRequest) -> PromptConfig:
    """The prompt for the recorded episodes; a live request's is for the live frame, except for words.

    One that says nothing is the same for all requests, so that masks are made once.
    """
    here = not request.live_frame
    pointed = bool(request.object_xy or request.object_box or request.object_mask)
    prompt = PromptConfig(
        episode=request.episode,
        frame=request.prompt_frame,
        click=list(request.object_xy) if here else [],
        box=list(request.object_box) if here else [],
        mask=request.object_mask if here else "",
        text="" if pointed else request.object_text,
    )
    return PromptConfig() if prompt.empty else prompt


def placed_at(task: AugmentTask, xy_px: tuple[float, float]) -> AugmentTask:
    """The task with the object's new place chosen."""
    return replace(task, placement=replace(task.placement, at_px=list(xy_px)))


def _telling(told: Told, stage: str):
    """A progress callback of the library that tells."""
    first, last = STAGES[stage]

    def tell(what: str, done: int, total: int) -> None:
        told.progress(what, first + (last - first) * done / max(total, 1))

    return tell


def _share(written: int, count: int) -> float:
    return MADE_FROM + (1 - MADE_FROM) * written / count


def _verdict(made: Made) -> str:
    failed = [
        f"{check.name} {check.value:.3g} (limit {check.threshold:g})"
        for check in made.report.checks
        if not check.passed
    ]
    return "rejected: " + ", ".join(failed) if failed else "written"
