"""Waiting out a short absence of the database or the object store."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from jobs.runner.control import AttemptControl
from service.core.errors import DatabaseUnavailable, StorageUnavailable

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0

T = TypeVar("T")


def patiently(control: AttemptControl, action: Callable[[], T], *, drainable: bool = True) -> T:
    """Repeat `action` until it succeeds, for five minutes at most.

    Ends early when the claim is lost, and on a drain if `drainable`. `action` must be safe to
    repeat. Raises what it raised last, StaleEpoch, Drained.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except (DatabaseUnavailable, StorageUnavailable) as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("%s; trying again in %.1f s", error, pause)
        control.pause(pause)
        control.check() if drainable else control.check_fence()
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
