"""One component in the foreground of a command that needs it for a while."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.supervisor.child import describe_exit, die_with_parent
from service.supervisor.component import Component
from service.supervisor.keeper import ComponentFailed
from service.supervisor.logs import last_lines

_PROBE_PAUSE_SECONDS = 0.1
_STOP_SECONDS = 10


@contextmanager
def running_alone(component: Component, log: Path) -> Iterator[None]:
    """From ready until the block ends. Raises ComponentFailed when it does not get ready."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            component.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=component.folder,
            env=dict(component.environment),
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_ready(child, component, log)
        yield
    finally:
        child.send_signal(component.stop_signal)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_ready(child: "subprocess.Popen[bytes]", component: Component, log: Path) -> None:
    started_at = time.time()
    deadline = time.monotonic() + component.ready_seconds
    while not component.is_ready(started_at):
        if child.poll() is not None:
            lines = [f"{component.name} {describe_exit(child.returncode)}", *last_lines(log)]
            raise ComponentFailed("\n".join(lines))
        if time.monotonic() > deadline:
            raise ComponentFailed(f"{component.name} does not get ready (log: {log})")
        time.sleep(_PROBE_PAUSE_SECONDS)
