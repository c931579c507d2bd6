"""Cancelling work that runs inside networks: before each call of any layer the question is asked again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook


class CancelledError(Exception):
    """The work was given up on request. No M2IVError: a batch that outlives those must not outlive this."""


@contextmanager
def cancellable(cancelled: threading.Event) -> Iterator[None]:
    """Within the block every network of this process stops with `CancelledError` once the event is set.

    A denoising step calls a network's layers many times, so it does not outlast a step.

    Raises:
        CancelledError: the event was set.
    """

    def ask(module: nn.Module, inputs: tuple) -> None:
        if cancelled.is_set():
            raise CancelledError("cancelled")

    handle = register_module_forward_pre_hook(ask)
    try:
        yield
    finally:
        handle.remove()
