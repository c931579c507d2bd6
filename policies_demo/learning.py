"""One policy: trained by lerobot-train, tried out by lerobot-eval, both as a user would type them."""

import dataclasses
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from m2iv_robot.errors import M2IVError
from policies_demo.commands import run_logged
from policies_demo.config import HALVES, DemoConfig, lab
from policies_demo.rows import Row
from policies_demo.statistics import Rate

TRAIN, EVALUATE = ("lerobot.scripts.lerobot_train", "lerobot.scripts.lerobot_eval")  # lerobot-train, lerobot-eval
PLUGIN = "--env.discover_packages_path=m2iv_robot.data.simulation.lerobot_env"
FIRST_TRIAL = 1_000_000  # seed of the first rollout: no episode was recorded under it or a later one


def train(config: DemoConfig, row: Row, dataset: Path, seed: int, folder: Path) -> Path:
    """Train one policy, from the last checkpoint where there is one; returns the folder of its weights."""
    output = folder / "train"
    last = output / "checkpoints" / "last"
    if (output / "checkpoints" / f"{config.steps:06d}" / "pretrained_model").is_dir():
        return last / "pretrained_model"
    if last.exists():
        resumed = last / "pretrained_model" / "train_config.json"
        command = [f"--config_path={resumed}", "--resume=true", *plugins(config), f"--steps={config.steps}"]
    else:
        shutil.rmtree(output, ignore_errors=True)
        command = training_arguments(config, row, dataset, seed, output)
    run_logged([sys.executable, "-m", TRAIN, *command], folder / "train.log", config.threads)
    return last / "pretrained_model"


def training_arguments(config: DemoConfig, row: Row, dataset: Path, seed: int, output: Path) -> list[str]:
    """What lerobot-train is told."""
    return [
        f"--dataset.repo_id=policies_demo/row_{row.letter}",
        f"--dataset.root={dataset}",
        f"--dataset.image_transforms.enable={str(row.transforms).lower()}",
        f"--output_dir={output}",
        *config.policy,
        f"--policy.device={config.device}",
        "--policy.push_to_hub=false",
        f"--steps={config.steps}",
        f"--batch_size={config.batch_size}",
        f"--num_workers={config.loaders}",
        f"--save_freq={config.save_every}",
        "--log_freq=100",
        f"--seed={seed}",
    ]


def plugins(config: DemoConfig) -> list[str]:
    """Those of the policy's arguments that say where LeRobot finds its code."""
    return [argument for argument in config.policy if "discover_packages_path" in argument]


def evaluate(config: DemoConfig, weights: Path, folder: Path) -> dict[str, Rate]:
    """Successes in the seen and the unseen half."""
    with ThreadPoolExecutor(len(HALVES) if config.parallel else 1) as pool:
        rates = pool.map(lambda half: evaluate_half(config, weights, half, folder / half), HALVES)
        return dict(zip(HALVES, rates, strict=True))


def evaluate_half(config: DemoConfig, weights: Path, half: str, output: Path) -> Rate:
    """Successes of rollouts whose object starts in one half; done once."""
    if not (output / "eval_info.json").is_file():
        command = [sys.executable, "-m", EVALUATE, *evaluation_arguments(config, weights, half, output)]
        run_logged(command, output.with_suffix(".log"))
    return successes_of(output / "eval_info.json")


def evaluation_arguments(config: DemoConfig, weights: Path, half: str, output: Path) -> list[str]:
    """What lerobot-eval is told: the same attempts for every policy.

    Every key of the lab is named, as LeRobot takes the dataclass's own defaults for those that are not.
    """
    places = lab(config, half)
    size = {"width": places.width // config.reduce, "height": places.height // config.reduce}
    settings = dataclasses.asdict(places) | size | {"supersample": config.reduce}
    return [
        PLUGIN,
        "--env.type=m2iv_so101",
        *(f"--env.simulation.{name}={value}" for name, value in settings.items() if value != ""),
        f"--env.episode_length={config.attempt_frames}",
        *plugins(config),
        f"--policy.path={weights}",
        f"--policy.device={config.device}",
        f"--eval.n_episodes={config.rollouts // len(HALVES)}",
        "--eval.batch_size=1",
        f"--seed={FIRST_TRIAL}",
        f"--output_dir={output}",
    ]


def successes_of(path: Path) -> Rate:
    """Successes in an eval_info.json of lerobot-eval.

    Raises:
        M2IVError: it holds something else.
    """
    try:
        tasks = json.loads(path.read_text())["per_task"]
        tried = [bool(success) for task in tasks for success in task["metrics"]["successes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise M2IVError(f"{path}: not what lerobot-eval 0.6 writes ({error!r}); delete it and run again") from error
    return Rate(sum(tried), len(tried))
