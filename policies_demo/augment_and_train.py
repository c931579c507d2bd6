"""Does your own policy gain? Copy this file and change what you like: it needs nothing else of this folder.

    python augment_and_train.py ~/lerobot/pick_cup --camera observation.images.front --count 100 --steps 50000

It generates episodes from all but the last recorded ones, trains ACT on the recorded ones alone and on both together,
and compares how far either policy is from what the person did in the episodes that were held out. That says whether
generated episodes do harm where you have data. What they are for, objects in other places, shows on the robot: the
commands for that are printed at the end.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import torch
from lerobot.datasets import LeRobotDataset, LeRobotDatasetMetadata
from lerobot.policies import make_pre_post_processors
from lerobot.policies.act.modeling_act import ACTPolicy


def main() -> None:
    """Augment, train twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of a LeRobot v3.0 dataset")
    parser.add_argument("--camera", required=True, help="feature key of a camera that stands still")
    parser.add_argument("--count", type=int, default=100, help="episodes to generate")
    parser.add_argument("--held-out", type=int, default=2, help="last recorded episodes that nothing is learned from")
    parser.add_argument("--steps", type=int, default=50_000, help="training steps of either policy")
    parser.add_argument("--output", type=Path, default=Path("outputs/augment_and_train"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()

    total = LeRobotDatasetMetadata("local/recorded", root=given.dataset).total_episodes
    kept = total - given.held_out
    if kept < 1:
        sys.exit(f"{given.dataset} has {total} episodes: too few to hold {given.held_out} out; give --held-out 1")

    both = given.output / "recorded_and_generated"
    augment(given, kept, both)
    # The generated dataset holds the recorded episodes first, held-out ones included: leave those out of training.
    count = LeRobotDatasetMetadata("local/both", root=both).total_episodes
    train(given, given.dataset, list(range(kept)), given.output / "act_recorded")
    train(given, both, [*range(kept), *range(total, count)], given.output / "act_both")

    held_out = list(range(kept, total))
    for name in ("act_recorded", "act_both"):
        weights = given.output / name / "checkpoints" / "last" / "pretrained_model"
        error = action_error(given, weights, held_out)
        print(f"{name}: mean action error on held-out episodes {error:.3f} (units of your dataset); weights: {weights}")
    print("\nOn the robot, with the object where you never put it while recording, as often with either policy:")
    for name in ("act_recorded", "act_both"):
        weights = given.output / name / "checkpoints" / "last" / "pretrained_model"
        print(f"  lerobot-rollout --policy.path={weights} --robot.type=...")


def augment(given: argparse.Namespace, kept: int, output: Path) -> None:
    """Generate episodes from the first `kept` recorded ones; what was generated before is kept."""
    settings = [f"dataset.root={given.dataset}", f"camera={given.camera}", f"output.root={output}"]
    settings += [f"count={given.count}", f"episodes={kept}", "include_source=true"]
    run(["m2iv_robot", "augment", *settings])


def train(given: argparse.Namespace, dataset: Path, episodes: list[int], output: Path) -> None:
    """Train ACT with LeRobot, unless it was done before."""
    if (output / "checkpoints" / "last").exists():
        return
    settings = ["--policy.type=act", "--policy.push_to_hub=false", f"--policy.device={given.device}"]
    settings += [f"--dataset.repo_id=local/{output.name}", f"--dataset.root={dataset}"]
    settings += [f"--dataset.episodes={episodes}", f"--output_dir={output}", f"--steps={given.steps}"]
    run(["lerobot.scripts.lerobot_train", *settings])


def run(command: list[str]) -> None:
    """Show a command and run it: `python -m MODULE ARGUMENTS`."""
    print("python -m", shlex.join(command), flush=True)
    status = subprocess.run([sys.executable, "-m", *command], check=False).returncode
    if status:
        sys.exit(status)


@torch.no_grad()
def action_error(given: argparse.Namespace, weights: Path, episodes: list[int]) -> float:
    """Mean absolute difference between the policy's actions and the person's, over all frames and whole chunks."""
    policy = ACTPolicy.from_pretrained(weights).to(given.device).eval()
    before, after = make_pre_post_processors(
        policy.config, str(weights), preprocessor_overrides={"device_processor": {"device": given.device}}
    )
    fps = LeRobotDatasetMetadata("local/recorded", root=given.dataset).fps
    ahead = {"action": [step / fps for step in range(policy.config.chunk_size)]}
    dataset = LeRobotDataset("local/recorded", root=given.dataset, episodes=episodes, delta_timestamps=ahead)
    total, count = 0.0, 0
    for batch in torch.utils.data.DataLoader(dataset, batch_size=16):
        wanted, real = batch["action"], ~batch["action_is_pad"]
        predicted = after(policy.predict_action_chunk(before(batch))).cpu()
        total += float((predicted - wanted).abs().mean(dim=-1)[real].sum())
        count += int(real.sum())
    return total / count


if __name__ == "__main__":
    main()
