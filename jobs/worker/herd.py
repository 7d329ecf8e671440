"""Forked children under one parent: kept alive with back-off, drained and stopped together.

The parent has no threads and no signal handlers: it sleeps in `sigtimedwait`.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobs.worker.parent_death import die_with_parent

logger = logging.getLogger(__name__)

_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_SIGNALS = _STOP_SIGNALS | {signal.SIGCHLD}
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A child that lived this long starts its back-off anew."""
_SAME_REQUEST_SECONDS = 1.0
"""Ctrl-C reaches us from the terminal and again from a supervisor; that is one request."""


@dataclass
class _Child:
    name: str
    main: Callable[[], None]
    pid: int = 0
    """0 while it is not running."""
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = _FIRST_PAUSE_SECONDS


@dataclass
class Herd:
    """`mains` are what the children run, by name; each returns when it is told to stop."""

    mains: Mapping[str, Callable[[], None]]
    drain_seconds: float
    _children: list[_Child] = field(init=False)

    def __post_init__(self) -> None:
        self._children = [_Child(name, main) for name, main in self.mains.items()]

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then forward it, wait, and kill whoever has not ended after
        `drain_seconds`, or at a second signal."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._keep_alive()
            self._stop()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _keep_alive(self) -> None:
        while True:
            self._reap()
            now = time.monotonic()
            for child in self._children:
                if not child.pid and child.start_at <= now:
                    self._start(child)
            waiting = [child.start_at - now for child in self._children if not child.pid]
            if _wait_for_signal(min(waiting, default=_LONGEST_PAUSE_SECONDS)) in _STOP_SIGNALS:
                return

    def _start(self, child: _Child) -> None:
        parent = os.getpid()
        child.started_at = time.monotonic()
        child.pid = os.fork()
        if child.pid == 0:
            _be(child, parent)

    def _stop(self) -> None:
        asked_at = time.monotonic()
        self._signal_all(signal.SIGTERM)
        while self._running():
            left = asked_at + self.drain_seconds - time.monotonic()
            caught = _wait_for_signal(left) if left > 0 else None
            asked_again = (
                caught in _STOP_SIGNALS and time.monotonic() - asked_at > _SAME_REQUEST_SECONDS
            )
            if left <= 0 or asked_again:
                self._signal_all(signal.SIGKILL)
                self._wait_all()
                return
            self._reap()

    def _running(self) -> list[_Child]:
        return [child for child in self._children if child.pid]

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._running():
            os.kill(child.pid, number)  # not reaped yet, so the pid is its own

    def _wait_all(self) -> None:
        for child in self._running():
            os.waitpid(child.pid, 0)
            child.pid = 0

    def _reap(self) -> None:
        for child in self._running():
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._note_end(child, status)

    def _note_end(self, child: _Child, status: int) -> None:
        now = time.monotonic()
        if now - child.started_at > _STEADY_SECONDS:
            child.pause = _FIRST_PAUSE_SECONDS
        logger.info("%s ended with %d", child.name, os.waitstatus_to_exitcode(status))
        child.pid, child.start_at = 0, now + child.pause
        child.pause = min(2 * child.pause, _LONGEST_PAUSE_SECONDS)


def _wait_for_signal(seconds: float) -> int | None:
    caught = signal.sigtimedwait(_SIGNALS, max(0.0, seconds))
    return None if caught is None else caught.si_signo


def _be(child: _Child, parent_pid: int) -> None:
    """The child's life; never returns."""
    code = 1
    try:
        die_with_parent(parent_pid)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        child.main()
        code = 0
    except BaseException:
        logger.exception("%s failed", child.name)
    finally:
        os._exit(code)
