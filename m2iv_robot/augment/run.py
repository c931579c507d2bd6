"""The whole run: annotate, plan, make, judge, write; it can be killed at any moment and goes on where it was."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from m2iv_robot.annotate import annotate_dataset
from m2iv_robot.augment.augmenter import Augmenter, number_plans
from m2iv_robot.augment.drawable import ArmCheck
from m2iv_robot.augment.films import film_path, save_film, side_by_side
from m2iv_robot.augment.footage import Library, wrist_cameras
from m2iv_robot.augment.journal import Journal
from m2iv_robot.augment.learned import Reader, own_reader
from m2iv_robot.augment.preview import tell_preview
from m2iv_robot.augment.records import AugmentReport, AugmentTask, Made, NumberedPlan, Outcome
from m2iv_robot.augment.wrist import source_frames
from m2iv_robot.data.lerobot_io import EpisodeWriter, episode_key, format_like
from m2iv_robot.errors import M2IVError, PlanError
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.plan import PlanConfig, PlanReport, PlanTask, plan_dataset, refused_places
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.plan.scenes import read_sources, stacked
from m2iv_robot.retarget import RobotModel, describe_robot

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, how much there is


def run_augmentation(task: AugmentTask, progress: Progress | None = None) -> AugmentReport:
    """Annotate, plan, make and write all new episodes; the same task again goes on, or changes nothing.

    Raises:
        PlanError: no motion can be planned, so there would be no labels.
        WriteError: the output cannot be written, or was made with other settings.
    """
    progress = progress or (lambda stage, done, total: None)
    annotation = task.annotation
    episodes = task.config.episodes
    annotation = replace(annotation, config=replace(annotation.config, episodes=episodes))
    annotated = annotate_dataset(annotation, progress)
    recorded = len(annotated.annotations)
    wanted = task.config.wanted(max(1, recorded))
    plans = plan_task(task, round(wanted * (1 + task.config.spare)))
    planned = plan_dataset(plans, progress)
    reader = own_reader(task, planned)
    planned = replace(planned, failures=joined(annotated.failures, planned.failures))
    check_labels(task, planned, reader)
    kinematics = kinematics_of(plans)
    library = Library(task, plans, kinematics, robots_of(plans, kinematics, planned))
    shop = Workshop(task, planned, library, wanted, reader)
    outcomes = shop.run(progress)
    return AugmentReport(outcomes, planned.failures, planned.notes, wanted, task.root)


def joined(
    annotating: tuple[tuple[int, M2IVError], ...], planning: tuple[tuple[int, M2IVError], ...]
) -> tuple[tuple[int, M2IVError], ...]:
    """Why episodes were left out, by index: the first thing that went wrong with each."""
    return tuple(sorted({**dict(planning), **dict(annotating)}.items()))


def plan_task(task: AugmentTask, count: int) -> PlanTask:
    """The planning part of the run."""
    annotation, config = task.annotation, task.config
    return PlanTask(
        dataset=annotation.dataset,
        camera=annotation.camera,
        store=annotation.store,
        robot=annotation.robot,
        camera_fit=annotation.camera_check,
        placement=task.placement,
        retarget=task.retarget,
        config=PlanConfig(count, config.episodes, config.seed),
        drawable=ArmCheck(config),
    )


def check_labels(task: AugmentTask, planned: PlanReport, reader: Reader | None = None) -> None:
    """Refuse to make a dataset without labels.

    Raises:
        PlanError: no plan has a motion; says why and what can be done.
    """
    name = task.annotation.dataset.name
    if any(plan.motion is not None for plan in planned.plans) or (planned.plans and (reader or _videos_only(task))):
        return
    reasons = [*planned.notes, *(f"episode {index}: {error}" for index, error in planned.failures)]
    reasons += refused_places(planned.refusals)
    if planned.plans:
        reasons.append("labels=video_only makes videos and the page, no dataset")
    reasons = reasons or ["no free place was found for the object: see the messages above, and m2iv plan for a drawing"]
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise PlanError(f"{name}: no motion could be planned, so new episodes would have no labels:{listed}")


def _videos_only(task: AugmentTask) -> bool:
    return task.config.labels == "video_only"


def robots_of(plans: PlanTask, kinematics: Kinematics, planned: PlanReport) -> dict[str, RobotModel]:
    """What the quality gate knows of the robot, by scene."""
    robots: dict[str, RobotModel] = {}
    for scene in planned.scenes if kinematics.metric else ():
        sources = read_sources(plans, kinematics, scene.episodes, {})
        states, actions = ([getattr(source.labels, key) for source in sources] for key in ("state", "action"))
        robots[scene.name] = describe_robot(
            stacked(states), stacked(actions), plans.dataset.fps, kinematics, plans.retarget
        )
    return robots


@dataclass
class Workshop:
    """What the making of all episodes shares."""

    task: AugmentTask
    planned: PlanReport
    library: Library
    wanted: int
    reader: Reader | None = None  # of labels, where none are planned

    def __post_init__(self) -> None:
        self.scenes = {index: scene for scene in self.planned.scenes for index in scene.episodes}
        timed = self.task.config.wrist != "drop" and self.reader is None  # without a plan there is no pace to keep
        wrists = wrist_cameras(self.task) if timed else ()
        self.augmenter = Augmenter(self.task, self.library, wrists, self.reader)
        self.journal = Journal(self.task.report_folder)
        self.numbered = number_plans(self.planned.plans, self.task.config.seed)
        self.outcomes: list[Outcome] = []

    def run(self, progress: Progress) -> tuple[Outcome, ...]:
        """Make what is wanted; with a dataset at its end, or videos alone."""
        if _videos_only(self.task):
            self._work(None, progress)
        else:
            dataset, cameras = self.task.annotation.dataset, (self.task.annotation.camera, *self.augmenter.wrists)
            output = format_like(dataset, cameras=cameras, extra=())
            with EpisodeWriter(self.task.root, output, self.task.writer, dataset, self._settings()) as writer:
                self._work(writer, progress)
        return tuple(self.outcomes)

    def _settings(self) -> dict:
        """What a later run into the same output must share."""
        config = {
            name: value for name, value in asdict(self.task.config).items() if name in ("seed", "masks", "renderer")
        }
        return {**config, "placement": asdict(self.task.placement), "weights": self.task.networks.hashes}

    def _work(self, writer: EpisodeWriter | None, progress: Progress) -> None:
        total = sum(self._length(numbered) for numbered in self.numbered[: self.wanted])
        done = 0
        for place, numbered in enumerate(self.numbered):
            written = sum(outcome.verdict == "written" for outcome in self.outcomes)
            if written >= self.wanted:
                break
            if place == self.task.config.preview and place:
                tell_preview(self.outcomes, self.wanted, self.task.root, writer)
                if self.task.config.preview_only:
                    break
            progress("frames", done, max(total, done))
            outcome = self._known(numbered, writer) or self._make(numbered, writer)
            self.outcomes.append(outcome)
            done += outcome.frames if outcome.verdict == "written" else 0
        progress("frames", done, max(total, done))

    def _length(self, numbered: NumberedPlan) -> int:
        plan = numbered.plan
        if plan.motion is not None:
            return len(plan.motion.verbatim)
        return self.task.annotation.dataset.length(plan.source_episode)

    def _known(self, numbered: NumberedPlan, writer: EpisodeWriter | None) -> Outcome | None:
        """What an earlier run made of the plan; None where that has to be done (again)."""
        key = episode_key(self.augmenter.provenance(numbered))
        outcome = self.journal.outcomes.get(key)
        if outcome is None or outcome.verdict == "refused":
            return outcome
        done = self._film_path(numbered).is_file() if writer is None else writer.has(key)
        return outcome if done else None

    def _make(self, numbered: NumberedPlan, writer: EpisodeWriter | None) -> Outcome:
        plan = numbered.plan
        key = episode_key(self.augmenter.provenance(numbered))
        try:
            made = self.augmenter.make(numbered, self.scenes[plan.source_episode])
        except PlanError as error:
            outcome = Outcome(key, plan.source_episode, self._length(numbered), "refused", str(error), 0.0, 0.0, 0)
            self.journal.note(outcome)
            return outcome
        kept = made.report.accepted
        if writer is not None:
            writer.write(made.candidate, made.report)
            kept = writer.holds(key)  # where the output had it before, what was found then counts
        self._film(numbered, made)
        outcome = replace(self._outcome(key, numbered, made), verdict="written" if kept else "rejected")
        self.journal.note(outcome)
        return outcome

    def _outcome(self, key: str, numbered: NumberedPlan, made: Made) -> Outcome:
        failed = [
            f"{check.name} {check.value:.3g} (limit {check.threshold:g})"
            for check in made.report.checks
            if not check.passed
        ]
        motion = made.candidate.motion
        return Outcome(
            key=key,
            source_episode=numbered.plan.source_episode,
            frames=made.candidate.episode.length,
            verdict="written" if made.report.accepted else "rejected",
            reason=", ".join(failed),
            seconds=round(made.seconds, 2),
            bend_px=round(made.bend_px, 1),
            kept_frames=0 if motion is None else int(motion.verbatim.sum()),
        )

    def _film_path(self, numbered: NumberedPlan) -> Path:
        """Where the video of a plan is; outcomes name it by the same key."""
        return film_path(self.task.report_folder, episode_key(self.augmenter.provenance(numbered)))

    def _film(self, numbered: NumberedPlan, made: Made) -> None:
        """A video for the page: the source beside the new episode."""
        motion, length = made.candidate.motion, self.task.annotation.dataset.length(numbered.plan.source_episode)
        real = self.library.frames(numbered.plan.source_episode)
        if motion is not None:
            real = real[source_frames(motion, length)]
        others = {name: self.augmenter.tools.retimed(name, numbered.plan) for name in made.candidate.other_cameras}
        film = side_by_side(real, made.candidate, others)
        save_film(self._film_path(numbered), film, made.candidate.episode.fps)
