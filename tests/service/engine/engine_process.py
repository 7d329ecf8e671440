"""The engine as the process that operators run."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from service.core.settings import Settings, inherited_environment
from tests.polling import poll_until

_RUN = """
from service.core.settings import Settings
from service.engine.main import run
run(Settings.from_environment())
"""
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 30
_READY_SECONDS = 120


@dataclass(frozen=True)
class EngineProcess:
    """A started engine, leader of its own process group."""

    settings: Settings
    log: Path
    _child: "subprocess.Popen[bytes]"

    def wait_ready(self) -> None:
        """Return once `/healthz` answers 200; fail with the log when the process ends before."""
        poll_until(self._is_ready_or_ended, "the engine is ready", timeout_seconds=_READY_SECONDS)
        assert self._child.poll() is None, self.log.read_text()

    def wait_logged(self, text: str) -> None:
        poll_until(
            lambda: text in self.log.read_text() or self._child.poll() is not None,
            f"the engine logs {text!r}",
            timeout_seconds=_READY_SECONDS,
        )
        assert text in self.log.read_text(), self.log.read_text()

    def terminate(self) -> int:
        """SIGTERM to the process alone; returns its exit code."""
        self._child.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        return self._child.wait(_STOP_SECONDS)

    def has_left_processes(self) -> bool:
        """Whether something of its process group still runs."""
        try:
            os.killpg(self._child.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _is_ready_or_ended(self) -> bool:
        if self._child.poll() is not None:
            return True
        try:
            url = f"http://127.0.0.1:{self.settings.engine_port}/healthz"
            return httpx2.get(url, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def started_engine(settings: Settings, folder: Path) -> Iterator[EngineProcess]:
    """Ends with the block, or with the tests, whatever happens."""
    log = folder / "engine.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            env=inherited_environment() | settings.as_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_lead_a_group_and_die_with_parent,
        )
    try:
        yield EngineProcess(settings, log, child)
    finally:
        child.kill()
        child.wait()


def _lead_a_group_and_die_with_parent() -> None:
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
