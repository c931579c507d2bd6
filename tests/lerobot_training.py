"""LeRobot's own training command on a dataset, for two steps of a tiny policy."""

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = {
    "dataset.repo_id": "recorded",
    "dataset.video_backend": "pyav",
    "policy.type": "act",
    "policy.device": "cpu",
    "policy.push_to_hub": "false",
    "policy.pretrained_backbone_weights": "null",
    "policy.chunk_size": 8,
    "policy.n_action_steps": 8,
    "policy.dim_model": 64,
    "policy.dim_feedforward": 64,
    "policy.n_heads": 2,
    "batch_size": 2,
    "steps": 2,
    "log_freq": 1,
    "num_workers": 0,
    "save_checkpoint": "false",
}


def train_two_steps(root: Path, output: Path) -> str:
    """What it said; fails where it does not come to its end."""
    settings = SETTINGS | {"dataset.root": root, "output_dir": output}
    command = [sys.executable, "-m", "lerobot.scripts.lerobot_train", *(f"--{k}={v}" for k, v in settings.items())]
    environment = os.environ | {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr + done.stdout
