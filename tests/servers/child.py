"""A server process that cannot outlive the tests."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.polling import poll_until

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 10


@contextmanager
def running_child(
    command: Sequence[str | Path],
    *,
    log: Path,
    is_ready: Callable[[], bool],
    stop_signal: signal.Signals = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[None]:
    """Run a server until the block ends; a start that fails shows the end of its log.

    `user` runs it under another name, which only root may ask for.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            user=user,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        _wait_until_ready(child, log, is_ready)
        yield
    finally:
        _stop(child, stop_signal)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_ready(
    child: "subprocess.Popen[bytes]", log: Path, is_ready: Callable[[], bool]
) -> None:
    def ready_or_dead() -> bool:
        return child.poll() is not None or is_ready()

    poll_until(ready_or_dead, f"{child.args!r} gets ready", timeout_seconds=60)
    if child.poll() is not None:
        last_lines = log.read_text(errors="replace").splitlines()[-20:]
        raise RuntimeError(
            "\n".join([f"{child.args!r} ended with {child.returncode}", *last_lines])
        )


def _stop(child: "subprocess.Popen[bytes]", stop_signal: signal.Signals) -> None:
    child.send_signal(stop_signal)
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
