"""What the generation benchmark measures, on what, and where it keeps what it has measured."""

from dataclasses import dataclass, field

from m2iv_robot.errors import ConfigError

BASELINES = ("repeat_first", "plate", "cut_and_paste")
NETWORKS = ("no_masks", "actor_mask", "paper", "ours")
PARTS = ("ours_without_plate", "ours_without_exemplar", "ours_uncomposited")
OURS = "ours"  # as the weights of another row: our weights, what the row does not know withheld
CLIP_FRAMES = 16


@dataclass(frozen=True)
class GenerationBenchmarkConfig:
    """configs/benchmark/generation.yaml; a row whose weights are absent is left out, and the result says so."""

    stores: list[str] = field(default_factory=list)  # folders of recorded clips; only held-out groups are measured
    held_out_groups: list[str] = field(default_factory=list)  # empty: those that training leaves out
    clips: int = 48  # at most of each store, taken from all held-out groups in turn
    simulated_robots: list[str] = field(default_factory=lambda: ["so101", "panda"])
    simulated_clips: int = 24  # of each robot, in labs that no training has seen; made once
    rows: list[str] = field(default_factory=lambda: [*BASELINES, *NETWORKS, *PARTS])
    weights_no_masks: str = OURS  # of the network without masks (DynamiCrafter's condition); empty: no such row
    weights_actor_mask: str = OURS  # with the actor's mask only (CosHand's condition); empty: no such row
    weights_paper: str = OURS  # first frame and both masks (Mask2IV); empty: no such row
    weights_ours: str = ""  # all conditions; empty: the weights that ship
    weights_trajectory: str = ""  # stage 1, for the episodes; empty: the weights that ship
    width: int = 256  # px; the height follows, as a multiple of 16
    fvd_clips: int = 48  # of each set, embedded for FVD (about a second each); 0: no FVD
    control_clips: int = 24  # of each set, whose generated frames are segmented again; 0: none
    episodes: int = 4  # simulated ones of each robot, made whole by both stages; 0: none
    pipeline_episodes: int = 4  # new ones of each robot and kind of placement, planned and made; 0: none
    pipeline_recorded: int = 6  # simulated ones that they are made from
    folder: str = "outputs/benchmarks/generation"  # finished clips (a run continues there), made clips, sheets
    sheet_clips: int = 6  # on each row's contact sheet, half of them its worst; 0: no sheets
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        """Known rows, sensible counts."""
        known = (*BASELINES, *NETWORKS, *PARTS)
        unknown = sorted(set(self.rows) - set(known))
        if unknown:
            raise ConfigError(f"benchmark.generation.rows: unknown row {unknown[0]!r}; known are {', '.join(known)}")
        for name in (
            "clips",
            "simulated_clips",
            "fvd_clips",
            "control_clips",
            "episodes",
            "pipeline_episodes",
            "sheet_clips",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"benchmark.generation.{name} must not be negative, got {getattr(self, name)}")
        if self.width < 32 or self.width % 16:
            raise ConfigError(f"benchmark.generation.width must be a multiple of 16, at least 32, got {self.width}")
