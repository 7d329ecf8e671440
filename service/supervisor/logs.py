"""The components' log files, and the supervisor's own lines on the terminal."""

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 32 * 1024**2
_TAIL_BYTES = 64 * 1024

Report = Callable[[str, str], None]
"""Takes a component's name and what happened to it."""


def print_report(component: str, text: str) -> None:
    """One line on the terminal; a terminal that has gone is no reason to stop."""
    with suppress(OSError):
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {component:<10} {text}\n")
        sys.stdout.flush()


def rotate(log: Path) -> None:
    """Begin a new file and keep the previous one as `<name>.1`."""
    if log.exists():
        log.replace(_previous(log))


def cut_when_large(log: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """The same for a file that a process writes to: it appends, so truncating is safe."""
    if log.exists() and log.stat().st_size > max_bytes:
        shutil.copyfile(log, _previous(log))
        os.truncate(log, 0)


def _previous(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def last_lines(log: Path, number: int = 20) -> list[str]:
    """The end of a log; none when there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return list(deque(file.read().decode(errors="replace").splitlines(), maxlen=number))
    except OSError:
        return []
