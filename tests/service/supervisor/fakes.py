"""Small shell components, and a supervisor that runs them and writes down what it says."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.supervisor.component import Component
from service.supervisor.keeper import RestartPolicy
from service.supervisor.supervisor import Stage, Supervisor

QUICK = RestartPolicy(first_seconds=0.01, longest_seconds=0.05)
OBEDIENT = 'trap "echo $NAME >> stopped; exit 0" TERM; echo $$ > $NAME.pid; '
IDLE = "while :; do sleep 0.02; done"


def shell(name: str, folder: Path, script: str = OBEDIENT + IDLE, **changes: object) -> Component:
    """Ready when it has written `<name>.pid`, unless `changes` say otherwise."""
    (folder / f"{name}.pid").unlink(missing_ok=True)
    described: dict[str, object] = {
        "name": name,
        "command": ["/bin/sh", "-c", script],
        "is_ready": lambda started_at: _written_since(folder / f"{name}.pid", started_at),
        "environment": {"NAME": name, "PATH": os.environ["PATH"]},
        "folder": folder,
        "nice": 0,
    }
    return Component(**(described | changes))  # type: ignore[arg-type]


def _written_since(path: Path, started_at: float) -> bool:
    return path.exists() and bool(path.read_text()) and path.stat().st_mtime > started_at - 1


def pid_of(name: str, folder: Path) -> int:
    return int((folder / f"{name}.pid").read_text())


def is_alive(pid: int) -> bool:
    """A zombie is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def stop_now() -> None:
    """For `when_ready`: what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


@dataclass
class Run:
    """A supervisor's life in this process."""

    folder: Path
    drain_seconds: float = 5
    lines: list[str] = field(default_factory=list)

    def __call__(
        self,
        *stages: Sequence[Component] | Stage,
        when_ready: Callable[[], Awaitable[None]] = stop_now,
    ) -> int:
        """Until it ends; the exit code."""
        planned = [stage if isinstance(stage, Stage) else Stage(stage) for stage in stages]
        names = [component.name for stage in planned for component in stage.components]
        return asyncio.run(self._run(planned, names[::-1], when_ready))

    async def _run(
        self, stages: list[Stage], stop_order: list[str], when_ready: Callable[[], Awaitable[None]]
    ) -> int:
        supervisor = Supervisor(
            stages,
            logs=self.folder,
            report=lambda name, text: self.lines.append(f"{name}: {text}"),
            stop_order=stop_order,
            drain_seconds=self.drain_seconds,
            policy=QUICK,
        )
        return await supervisor.run(when_ready)

    async def said(self, text: str) -> None:
        """Wait for a line that contains this."""
        async with asyncio.timeout(20):
            while not any(text in line for line in self.lines):
                await asyncio.sleep(0.01)
