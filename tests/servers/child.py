"""A component of the embedded stack that cannot outlive the tests."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.supervisor.child import die_with_parent
from service.supervisor.component import Component
from service.supervisor.logs import last_lines
from tests.polling import poll_until

_STOP_SECONDS = 10


@contextmanager
def running_child(
    component: Component, *, log: Path, user: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server until the block ends; a start that fails shows the end of its log.

    `user` runs it under another name, which only root may ask for.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            component.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=component.folder,
            user=user,
            env=dict(component.environment),
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_ready(child, log, component)
        yield child
    finally:
        _stop(child, component)


def _wait_until_ready(child: "subprocess.Popen[bytes]", log: Path, component: Component) -> None:
    started_at = time.time()

    def ready_or_dead() -> bool:
        return child.poll() is not None or component.is_ready(started_at)

    poll_until(ready_or_dead, f"{component.name} gets ready", timeout_seconds=60)
    if child.poll() is not None:
        lines = [f"{component.name} ended with {child.returncode}", *last_lines(log)]
        raise RuntimeError("\n".join(lines))


def _stop(child: "subprocess.Popen[bytes]", component: Component) -> None:
    child.send_signal(component.stop_signal)
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
