"""A polite request to end is a Ctrl-C: what is recorded is concluded, whoever asks.

Ray's job server, Kubernetes, Slurm and ``kill`` send SIGTERM.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def treat_sigterm_as_interrupt() -> None:
    """Let SIGTERM do from now on what Ctrl-C does at that moment; call it in the main thread."""
    signal.signal(signal.SIGTERM, interrupt)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does; without sending the signal, which is blocked in processes that Ray starts."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored, as in a shell's background
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextmanager
def keeping_sigterm() -> Iterator[None]:
    """Undo what the block does to SIGTERM: starting Ray lets it end the process on the spot."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not handler:
            signal.signal(signal.SIGTERM, handler)
