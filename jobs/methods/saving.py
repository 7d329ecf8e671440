"""When the engine is asked to store something, and what."""

import time
from collections.abc import Callable
from functools import partial

from jobs.runner.session import EngineSession
from service.core.engine_protocol import Save
from service.core.object_keys import step_name


class Saving:
    """Models where they are asked for, training states every so many seconds besides."""

    def __init__(
        self,
        session: EngineSession,
        *,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._every_seconds = every_seconds
        self._clock = clock
        self._last = clock()

    def save_model(self, step: int, *, temperature: float = 1.0) -> None:
        """With the training state, so that a later attempt can go on from here."""
        save = partial(
            Save, name=step_name(step), parts=("adapter", "state"), temperature=temperature
        )
        self._submit(save)

    def save_state_if_due(self, step: int) -> None:
        """The state alone. A store that is slower than this gets one at a time."""
        if self.is_state_due:
            self._submit(partial(Save, name=step_name(step), parts=("state",)))

    @property
    def is_state_due(self) -> bool:
        is_due = self._clock() - self._last >= self._every_seconds
        return is_due and not self._session.is_saving

    def _submit(self, save: partial[Save]) -> None:
        self._session.submit(save)
        self._session.flush()
        self._last = self._clock()
