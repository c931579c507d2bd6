"""The one loop for everything with a `loss(batch, generator)`: AdamW, averaged weights, mixed precision, resume.

Step `n` of a seed sees the same samples and the same random numbers whether or not the run was interrupted before it.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from m2iv_robot.errors import CheckpointError, ConfigError
from m2iv_robot.models.checkpoint import fill, load_tensors, save_model, save_tensors

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "resume.safetensors"
WEIGHTS_NAME = "weights.safetensors"


@dataclass(frozen=True)
class TrainingConfig:
    """configs/training/*.yaml: the loop's numbers."""

    steps: int = 1000
    max_minutes: float = 0.0  # stops after this long in this run, with a checkpoint; 0: no limit
    batch_size: int = 8
    learning_rate: float = 1e-3
    slow_prefix: str = ""  # parameters whose name starts with it learn slower (pretrained parts)
    slow_factor: float = 0.2
    weight_decay: float = 0.01
    warmup_steps: int = 50
    final_share: float = 0.02  # of the learning rate, at the end of the cosine
    clip_norm: float = 1.0
    average_decay: float = 0.998  # of the averaged weights that are shipped
    seed: int = 0
    checkpoint_every_steps: int = 100
    log_every_steps: int = 20
    bfloat16: bool = False
    worker_count: int = 0  # processes that prepare samples
    device: str = "auto"  # auto, cpu, cuda
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"training.average_decay must be in [0, 1), got {self.average_decay}")
        if self.learning_rate <= 0 or self.clip_norm <= 0:
            raise ConfigError("training.learning_rate and training.clip_norm must be positive")


@runtime_checkable
class Trainable(Protocol):
    """A network that knows its loss; its frozen configuration is `.config`."""

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """The number to make small."""


class MixedDataset(Dataset):
    """Samples from several datasets, each drawn with its weight; sample `index` of a seed is always the same."""

    def __init__(self, datasets: list[Dataset], weights: list[float], seed: int) -> None:
        if not datasets or len(datasets) != len(weights) or min(weights) <= 0:
            raise ConfigError("training: every dataset needs a positive weight")
        self.datasets, self.seed = datasets, seed
        self.shares = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, index])
        dataset = self.datasets[int(generator.choice(len(self.datasets), p=self.shares))]
        return dataset[int(generator.integers(len(dataset)))]


def learning_rate_share(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine down to `final_share`; in [0, 1]."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with decay on matrices only and a slower rate for the pretrained part."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            slow = bool(config.slow_prefix) and name.startswith(config.slow_prefix)
            groups.setdefault((slow, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay if decays else 0.0,
                "rate": config.learning_rate * (config.slow_factor if slow else 1.0),
            }
            for (slow, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        lr=config.learning_rate,
    )


def channels_last(model: nn.Module) -> nn.Module:
    """Lay out the weights of plain convolutions as processors like them (in place)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return model


class Run:
    """A training run's state: weights, their average, the optimizer, and the step."""

    def __init__(self, model: nn.Module, config: TrainingConfig, folder: Path) -> None:
        self.device = choose_device(config.device)
        self.model = channels_last(model.to(self.device)).train()
        self.config, self.folder, self.step = config, folder, 0
        self.optimizer = build_optimizer(model, config)
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that is needed to go on."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        return tensors

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        save_tensors(
            self.folder / CHECKPOINT_NAME, self.tensors(), {"step": str(self.step), "seed": str(self.config.seed)}
        )

    def resume(self) -> None:
        """Go on from the folder's checkpoint where there is one.

        Raises:
            CheckpointError: it is damaged or of another network or seed.
        """
        path = self.folder / CHECKPOINT_NAME
        if not path.exists():
            return
        tensors, metadata = load_tensors(path)
        if metadata.get("seed") != str(self.config.seed):
            raise CheckpointError(
                f"{path}: of a run with another seed; use another folder or training.seed={metadata.get('seed')}"
            )
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor.to(self.device)
        fill(self.model, parts["model"], path)
        self.average = parts["average"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor.cpu() if key == "step" else tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step = int(metadata["step"])
        logger.info("resuming at step %d from %s", self.step, path)

    def advance(self, batch: dict[str, Tensor]) -> tuple[float, float]:
        """One step; the loss and the gradient's norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate_share(self.step, self.config)
        torch.manual_seed(self.config.seed + self.step)
        generator = torch.Generator(self.device).manual_seed(self.config.seed + self.step)
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            loss = self.model.loss(batch, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if not torch.isfinite(norm):
            raise CheckpointError(
                f"step {self.step}: loss {loss.item()} is not finite; lower training.learning_rate and run again"
            )
        self.optimizer.step()
        self.step += 1
        self.follow()
        return float(loss.detach()), float(norm)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averaged weights towards the present ones; faster in the beginning."""
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)

    def save_weights(self, half: bool) -> Path:
        """Write the averaged weights for use; leaves the run as it is."""
        present = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        path = self.folder / WEIGHTS_NAME
        save_model(path, self.model, {"steps": str(self.step)}, half)
        self.model.load_state_dict(present)
        return path


class Indices:
    """Batches of sample numbers from a step on: step `n` takes `n * batch_size` and the following."""

    def __init__(self, first_step: int, config: TrainingConfig) -> None:
        self.first_step, self.config = first_step, config

    def __iter__(self) -> Iterator[list[int]]:
        size = self.config.batch_size
        for step in range(self.first_step, self.config.steps):
            yield list(range(step * size, (step + 1) * size))

    def __len__(self) -> int:
        return self.config.steps - self.first_step


def open_tensorboard(folder: Path, wanted: bool) -> Callable[[str, float, int], None]:
    """A function that writes one number; does nothing where TensorBoard is not wanted."""
    if not wanted:
        return lambda name, value, step: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "training.tensorboard=true needs the extra `train` (pip install m2iv_robot[train])"
        ) from error
    return SummaryWriter(str(folder)).add_scalar


def train(
    model: nn.Module,
    dataset: Dataset,
    collate: Callable[[list], dict[str, Tensor]],
    config: TrainingConfig,
    folder: Path,
) -> Path:
    """Train to `config.steps` (or the time limit), going on from `folder`; returns the averaged weights' file.

    `dataset[index]` must depend on `index` alone; `len(dataset)` is not looked at.
    """
    run = Run(model, config, folder)
    run.resume()
    write = open_tensorboard(folder, config.tensorboard)
    loader = DataLoader(
        dataset, batch_sampler=Indices(run.step, config), num_workers=config.worker_count, collate_fn=collate
    )
    started, losses = time.monotonic(), []
    with tqdm(total=config.steps, initial=run.step, desc="training", unit="step", mininterval=2.0) as bar:
        for batch in loader:
            loss, norm = run.advance(batch)
            losses.append(loss)
            bar.update()
            if run.step % config.log_every_steps == 0:
                mean, losses = sum(losses) / len(losses), []
                bar.set_postfix(loss=f"{mean:.3f}")
                write("loss", mean, run.step)
                write("gradient_norm", norm, run.step)
                logger.debug("step %d loss %.4f", run.step, mean)
            if run.step % config.checkpoint_every_steps == 0:
                run.save()
                run.save_weights(half=True)
            if config.max_minutes and time.monotonic() - started > 60 * config.max_minutes:
                logger.info("time limit reached at step %d; run again to go on", run.step)
                break
    run.save()
    return run.save_weights(half=True)
