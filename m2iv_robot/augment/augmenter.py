"""A plan -> a new episode: masks, frames, labels, the other cameras, and where all of it comes from."""

import hashlib
import logging
import time
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.augment.drawable import check_bend, check_seen
from m2iv_robot.augment.footage import Library
from m2iv_robot.augment.handles import Footage, picture_motion
from m2iv_robot.augment.learned import Reader
from m2iv_robot.augment.records import AugmentTask, Made, NumberedPlan
from m2iv_robot.augment.unguided import dream
from m2iv_robot.augment.wrist import ToolCameras
from m2iv_robot.background import soft_edge
from m2iv_robot.errors import PlanError
from m2iv_robot.generation import WantedMasks, WantedVideo, generate_frames, generate_masks
from m2iv_robot.generation.layers import MovedVideo, PictureMotion, move_recording
from m2iv_robot.generation.still import with_standing
from m2iv_robot.plan import Plan, PlannedScene
from m2iv_robot.types import Candidate, Episode, MaskTrajectory, Provenance, QualityReport

logger = logging.getLogger(__name__)


class Augmenter:
    """Makes new episodes of one dataset, one plan at a time; the same plan and seed give the same episode."""

    def __init__(
        self, task: AugmentTask, library: Library, wrists: tuple[str, ...], reader: Reader | None = None
    ) -> None:
        """`wrists`: the cameras on the tool that are kept; `reader` gives labels to what no motion was planned for."""
        self.task, self.library, self.wrists, self.reader = task, library, wrists, reader
        self.tools = ToolCameras(library.plans, library.kinematics)

    def make(self, numbered: NumberedPlan, scene: PlannedScene) -> Made:
        """The new episode and what the gate says of it.

        Raises:
            PlanError: no real frame shows the arm nearly as planned.
        """
        started = time.perf_counter()
        plan = numbered.plan
        footage = self.library.footage(plan.source_episode, scene)
        if plan.motion is None:
            frames, masks = dream(self.task, plan, footage.source, footage.scene, numbered.seed)
            candidate = self._candidate(numbered, footage, frames, masks)
            if self.reader is not None:
                candidate = self.reader.labelled(candidate, plan, scene)
            return Made(candidate, self._judged(candidate, footage, scene), time.perf_counter() - started)
        picture, bend = picture_motion(plan, footage, self.library.kinematics, scene.camera)
        bend_px = float(bend[picture.shown].max(initial=0.0))
        if picture.arm is None:
            check_bend(bend_px, footage.scene.plate.image.shape[-1], self.task.config)
        else:
            self._check_side(bend_px)
            bend_px = 0.0
        moved = move_recording(footage.scene, picture)
        check_seen(moved.unseen, moved.masks.actor, self.task.config)
        masks = self._masks(plan, moved, numbered.seed)
        frames = self._frames(plan, footage, moved, masks, numbered.seed)
        candidate = self._candidate(numbered, footage, frames, with_standing(masks, footage.still))
        others, anew = self._wrists(plan, picture, footage, scene)
        candidate = replace(candidate, other_cameras=others, provenance=self.provenance(numbered, anew))
        report = self._judged(candidate, footage, scene)
        return Made(candidate, report, time.perf_counter() - started, bend_px)

    def _judged(self, candidate: Candidate, footage: Footage, scene: PlannedScene) -> QualityReport:
        if self.task.gate is None:
            return QualityReport(())
        return self.task.gate.assess(candidate, self.library.context(footage, scene))

    def _check_side(self, turn_deg: float) -> None:
        if turn_deg > self.task.config.most_turn_deg:
            raise PlanError(
                f"the arm was never seen nearly so: the nearest real one shows its links from {turn_deg:.0f} degrees "
                f"aside, most_turn_deg={self.task.config.most_turn_deg:g}; more recorded episodes of this pose help"
            )

    def _masks(self, plan: Plan, moved: MovedVideo, seed: int) -> MaskTrajectory:
        """The masks of every frame; where the plan keeps the source's frames, the source's."""
        motion, masks = plan.motion, moved.masks
        if self.task.config.masks == "warped":
            return masks
        given = motion.verbatim.clone()
        given[0] = True  # the arm starts as in the source
        wanted = WantedMasks(
            first_frame=moved.frames[0],
            actor=masks.actor,
            actor_given=given,
            object=masks.object,
            object_given=torch.ones_like(given),
            gripper_path_px=motion.gripper_path_px.float(),
            actor_guess=masks.actor,
        )
        return generate_masks(self.task.networks.trajectory, wanted, seed, self.task.generation)

    def _frames(
        self, plan: Plan, footage: Footage, moved: MovedVideo, masks: MaskTrajectory, seed: int
    ) -> UInt8[Tensor, "t 3 h w"]:
        if self.task.config.renderer == "cut_and_paste":
            return moved.frames
        given = plan.motion.verbatim.clone()
        given[0] = True
        same_masks = self.task.config.masks == "warped"
        wanted = WantedVideo(
            first_frame=moved.frames[0],
            masks=masks,
            frames=moved.frames,
            frames_given=given,
            background=moved.background,
            exemplar=moved.exemplar if same_masks else None,
        )
        drawn = generate_frames(self.task.networks.video, footage.scene, wanted, seed, self.task.generation)
        if footage.film is None or not same_masks:
            return drawn
        doubtful = soft_edge(moved.unseen, self.task.generation.edge_px)[:, None]  # elsewhere real pixels are known
        return (moved.frames + doubtful * (drawn.float() - moved.frames)).round().to(torch.uint8)

    def _candidate(
        self, numbered: NumberedPlan, footage: Footage, frames: UInt8[Tensor, "t 3 h w"], masks: MaskTrajectory
    ) -> Candidate:
        plan, labels = numbered.plan, footage.source.labels
        motion = plan.motion
        episode = Episode(
            dataset=labels.dataset,
            index=labels.index,
            camera=self.task.annotation.camera,
            frames=frames,
            state=None if motion is None else motion.state,
            action=None if motion is None else motion.action,
            state_names=labels.state_names,
            action_names=labels.action_names,
            fps=labels.fps,
            task=self.task.placement.task or labels.task,
            robot_type=labels.robot_type,
        )
        return Candidate(episode, masks, plan.placement, motion, self.provenance(numbered))

    def _wrists(
        self, plan: Plan, picture: PictureMotion, footage: Footage, scene: PlannedScene
    ) -> tuple[dict[str, UInt8[Tensor, "t 3 _ _"]], tuple[str, ...]]:
        """The frames of the cameras on the tool, and which cameras' are made anew."""
        frames: dict[str, Tensor] = {}
        anew = []
        for camera in self.wrists:
            made = None
            if self.task.config.wrist == "remake":
                made = self.tools.remade(camera, plan, picture, footage, scene)
            if made is None:
                made = self.tools.retimed(camera, plan)
            else:
                anew.append(camera)
            frames[camera] = made
        return frames, tuple(anew)

    def provenance(self, numbered: NumberedPlan, anew: tuple[str, ...] = ()) -> Provenance:
        """Where the episode of a plan comes from, known before it is made; `anew`: cameras whose frames are made."""
        plan, config = numbered.plan, self.task.config
        notes = [f"masks={config.masks}", f"renderer={config.renderer}"]
        if self.reader is not None:
            notes.append("state and action are read off the frames by a labeller that learned from the dataset")
        if plan.motion is not None:
            kept, length = int(plan.motion.verbatim.sum()), len(plan.motion.verbatim)
            notes.append(f"frames that are the source's own: {kept} of {length}")
        retimed = [camera for camera in self.wrists if camera not in anew]
        if anew:
            notes.append(
                f"{', '.join(anew)}: made anew from real pixels where the way is re-planned, else the source's frames"
            )
        if retimed:
            notes.append(
                f"{', '.join(retimed)}: the source's frames at the planned pace; where the way to the object is "
                "re-planned they show the source's way"
            )
        return Provenance(
            source_dataset=self.task.annotation.dataset.name,
            source_episode=plan.source_episode,
            camera=self.task.annotation.camera,
            placement_kind=plan.placement.kind,
            shift_px=plan.placement.shift_px,
            shift_m=plan.placement.shift_m,
            seed=numbered.seed,
            weights=self.task.networks.hashes,
            notes=tuple(notes),
            turn_rad=plan.placement.turn_rad,
        )


def number_plans(plans: tuple[Plan, ...], seed: int) -> list[NumberedPlan]:
    """Plans with a seed each that depends on the run's seed, the source episode and the place among its plans."""
    counts: dict[int, int] = {}
    numbered = []
    for plan in plans:
        number = counts.get(plan.source_episode, 0)
        counts[plan.source_episode] = number + 1
        digest = hashlib.sha256(f"{seed}/{plan.source_episode}/{number}".encode()).digest()
        numbered.append(NumberedPlan(plan, number, int(np.frombuffer(digest[:4], np.uint32)[0]) & 0x3FFFFFFF))
    return numbered
