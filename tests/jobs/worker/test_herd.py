"""The parent of forked children: it keeps them alive, and ends them all."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.core.settings import Settings
from tests.jobs.processes import Running, is_alive, running_python
from tests.polling import poll_until

_HERD = """
import signal, sys, time
from pathlib import Path
from jobs.worker.herd import Herd

def obedient():
    Path({folder!r}, "obedient").open("a").write("x")
    signal.sigwait({{signal.SIGTERM}})

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path({folder!r}, "stubborn").open("a").write("x")
    while True:
        time.sleep(60)

Herd({{"a": {main}}}, drain_seconds={drain_seconds}).run()
"""


@contextmanager
def herd(folder: Path, main: str, *, drain_seconds: float = 60) -> Iterator[Running]:
    """One child; yields once it runs."""
    code = _HERD.format(folder=str(folder), main=main, drain_seconds=drain_seconds)
    with running_python(code, Settings(), folder / "log") as parent:
        poll_until(lambda: starts(folder, main) == "x", "the child runs")
        yield parent


def starts(folder: Path, main: str) -> str:
    """One x a start."""
    trace = folder / main
    return trace.read_text() if trace.exists() else ""


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    with herd(tmp_path, "obedient") as parent:
        (child,) = parent.children
        os.kill(child, signal.SIGKILL)
        poll_until(lambda: starts(tmp_path, "obedient") == "xx", "another one runs")


def test_a_stop_waits_for_children_that_end(tmp_path: Path) -> None:
    with herd(tmp_path, "obedient") as parent:
        (child,) = parent.children
        assert parent.terminate() == 0
        assert not is_alive(child)


@pytest.mark.parametrize("signals", [1, 2], ids=["after the time to drain", "at a second signal"])
def test_a_stubborn_child_is_killed(tmp_path: Path, signals: int) -> None:
    drain_seconds = 0.5 if signals == 1 else 600
    with herd(tmp_path, "stubborn", drain_seconds=drain_seconds) as parent:
        (child,) = parent.children
        parent.process.send_signal(signal.SIGTERM)
        if signals == 2:
            poll_until(lambda: repeat_until_dead(parent, child), "the child was killed")
        assert parent.process.wait(timeout=20) == 0
        assert not is_alive(child)


def repeat_until_dead(parent: Running, child: int) -> bool:
    """Signals within a second of the first count as one with it, so it takes several. None is
    sent once the child is dead: a parent that is about to exit no longer handles them."""
    if is_alive(child):
        parent.process.send_signal(signal.SIGTERM)
        return False
    return True


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    with herd(tmp_path, "stubborn") as parent:
        (child,) = parent.children
        parent.process.kill()
        poll_until(lambda: not is_alive(child), "the child is dead")
