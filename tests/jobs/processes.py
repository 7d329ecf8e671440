"""Real workers and reconcilers, as processes that cannot outlive the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.worker.parent_death import die_with_parent
from service.core.settings import Settings, inherited_environment
from tests.polling import poll_until

_ROOT = Path(__file__).parents[2]
_WORKER = "from jobs.worker.main import run; run(settings, name={name!r})"
_RECONCILER = "from jobs.reconciler.main import run; run(settings)"
_SETTINGS = "from service.core.settings import Settings; settings = Settings.from_environment(); "


@dataclass(frozen=True)
class Running:
    """A program and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def children(self) -> list[int]:
        """Of a worker: its slots."""
        return children_of(self.process.pid)

    @property
    def horses(self) -> list[int]:
        return [horse for slot in self.children for horse in children_of(slot)]

    def horse(self) -> int:
        """The only one, once it is there."""
        poll_until(lambda: len(self.horses) == 1, "there is one horse")
        return self.horses[0]

    def terminate(self) -> int:
        """Send SIGTERM and wait for the end; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def said(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")


def children_of(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """A zombie is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running_worker(settings: Settings, *, name: str = "w") -> Iterator[Running]:
    with _running(_SETTINGS + _WORKER.format(name=name), settings, f"worker-{name}") as worker:
        yield worker


@contextmanager
def running_reconciler(settings: Settings) -> Iterator[Running]:
    with _running(_SETTINGS + _RECONCILER, settings, "reconciler") as reconciler:
        yield reconciler


@contextmanager
def _running(code: str, settings: Settings, name: str) -> Iterator[Running]:
    with running_python(code, settings, settings.data_dir / f"{name}.log") as running:
        yield running


@contextmanager
def running_python(code: str, settings: Settings, log: Path) -> Iterator[Running]:
    """Ended by SIGTERM, or SIGKILL when that does not help."""
    log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=_ROOT,
            env={**inherited_environment(), **settings.as_environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: die_with_parent(parent),
        )
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
