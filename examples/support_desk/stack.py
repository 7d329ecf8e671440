"""A Tunery server of one's own, for as long as a block runs."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]
READY_SECONDS = 300
"""The first start unpacks the base model, which takes about 20 s; a slow machine gets more."""
STOP_SECONDS = 45
"""More than the 30 s that the server allows itself."""
_PR_SET_PDEATHSIG = 1
_SHOWN_LOG_LINES = 20
_NOT_FOR_A_DEMO = (
    "TUNERY_DATABASE_URL",
    "TUNERY_REDIS_URL",
    "TUNERY_S3_",
    "TUNERY_ENGINE_URL",
    "TUNERY_API_",
)


class StackError(Exception):
    """The server did not start or did not stop; the message shows the end of its log."""


@dataclass(frozen=True)
class Stack:
    """A server that is ready."""

    pid: int
    base_url: str
    api_key: str


@contextmanager
def running_stack(data_dir: Path, *, keep: bool) -> Iterator[Stack]:
    """Start `tunery-server up` and stop it at the end of the block.

    With `keep` a block that ends well leaves the server running. Raises StackError.
    """
    log = data_dir / "up.log"
    server = _start(data_dir, log, dies_with_us=not keep)
    try:
        stack = _wait_until_ready(server, data_dir, log)
        yield stack
    except BaseException:
        _stop(server, log)
        raise
    if not keep:
        _stop(server, log)


def _start(data_dir: Path, log: Path, *, dies_with_us: bool) -> "subprocess.Popen[bytes]":
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "connection.json").unlink(missing_ok=True)  # of a server that ran here before
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "service", "up", "--port", "0", "--data-dir", str(data_dir)],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C shall reach us alone, and we stop the server
            preexec_fn=_die_with_parent if dies_with_us and sys.platform == "linux" else None,
        )


def _environment() -> dict[str, str]:
    """Ours, without what would point the server at somebody's real database, queue or store."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_NOT_FOR_A_DEMO)}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(server: "subprocess.Popen[bytes]", data_dir: Path, log: Path) -> Stack:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StackError(f"The server ended with {server.returncode}.\n{_end_of(log)}")
        stack = _read_connection(data_dir, server.pid)
        if stack and _is_ready(stack):
            return stack
        time.sleep(0.2)
    raise StackError(f"The server is not ready after {READY_SECONDS} s.\n{_end_of(log)}")


def _read_connection(data_dir: Path, pid: int) -> Stack | None:
    try:
        connection = json.loads((data_dir / "connection.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Stack(pid=pid, base_url=connection["base_url"], api_key=connection["api_key"])


def _is_ready(stack: Stack) -> bool:
    try:
        return httpx2.get(f"{stack.base_url.removesuffix('/v1')}/readyz", timeout=5).is_success
    except httpx2.TransportError:
        return False


def _stop(server: "subprocess.Popen[bytes]", log: Path) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        raise StackError(
            f"The server did not stop within {STOP_SECONDS} s and was killed.\n{_end_of(log)}"
        ) from None


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_SHOWN_LOG_LINES:])
