"""Waiting for what another thread or process does, with a deadline instead of a sleep."""

import time
from collections.abc import Callable


def poll_until(
    condition: Callable[[], bool], expectation: str, *, timeout_seconds: float = 20
) -> None:
    """Return once the condition holds; fail with the expectation when it never does."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds} s in vain: {expectation}")
        time.sleep(0.01)
