"""SIGUSR1 tells a horse to give its work back.

A worker blocks the signal before it forks, so that one sent to a horse that is not ready for it
waits instead of killing it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.runner.control import AttemptControl

DRAIN_SIGNAL = signal.SIGUSR1


def hold_back_drain_signal() -> None:
    """For this process and those it forks, until one of them listens."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {DRAIN_SIGNAL})


@contextmanager
def drained_by_signal() -> Iterator[AttemptControl]:
    """A control that the signal drains while the block runs. Main thread only."""
    control = AttemptControl()
    previous = signal.signal(DRAIN_SIGNAL, lambda *_: control.drain())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {DRAIN_SIGNAL})
    try:
        yield control
    finally:
        hold_back_drain_signal()
        signal.signal(DRAIN_SIGNAL, previous)
