"""Cancelling work in the middle: of a network's step, and of whatever else Python does between them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from m2iv_robot.errors import RequestError

CANCEL_SIGNAL = signal.SIGUSR1


class CancelledError(Exception):
    """The work was given up on request. No M2IVError: a batch that outlives those must not outlive this."""


class Cancel:
    """A cancel that is waited for by the main thread and asked for by any other."""

    def __init__(self) -> None:
        """Outside `heard` a cancel interrupts nothing.

        Raises:
            RequestError: this is not the main thread, which alone hears signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RequestError("work that can be cancelled runs in the main thread of its process")
        self._asked = threading.Event()
        signal.signal(CANCEL_SIGNAL, signal.SIG_IGN)

    def ask(self) -> None:
        """Have the work given up."""
        self._asked.set()
        signal.pthread_kill(threading.main_thread().ident, CANCEL_SIGNAL)

    def forget(self) -> None:
        """Begin anew."""
        self._asked.clear()

    @property
    def asked(self) -> bool:
        """Whether the work should be given up."""
        return self._asked.is_set()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within the block a cancel stops the work: between two steps of Python, and before each layer of a network.

        The second is for a cancel that comes while a library swallows exceptions.

        Raises:
            CancelledError: a cancel was or is asked for.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            raise CancelledError("cancelled")

        def look(module: nn.Module, inputs: tuple) -> None:
            if self.asked:
                raise CancelledError("cancelled")

        hook = register_module_forward_pre_hook(look)
        signal.signal(CANCEL_SIGNAL, stop)
        try:
            if self.asked:
                raise CancelledError("cancelled")
            yield
        finally:
            signal.signal(CANCEL_SIGNAL, signal.SIG_IGN)
            hook.remove()
