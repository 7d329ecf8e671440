"""A child process that cannot outlive its parent."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.supervisor.component import Component

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Opened before any fork: between fork and exec nothing may be loaded."""


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def start_child(component: Component, log: Path) -> asyncio.subprocess.Process:
    """Start in a session of its own, so that a terminal's Ctrl-C reaches the supervisor alone.

    To be called from the main thread: the child dies with the thread that started it.
    Raises OSError when the program cannot be run.
    """
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *component.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=component.folder,
            env=dict(component.environment),
            start_new_session=True,
            preexec_fn=_preparation(os.getpid(), component.nice),
        )


def _preparation(parent: int, nice: int) -> Callable[[], None]:
    def prepare() -> None:
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)

    return prepare


def kill_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the child and to what it has left in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """What a person calls it: an exit code or a signal's name."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
