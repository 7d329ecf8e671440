"""A training session as the loops use it: submit commands, ask for their results."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from jobs.runner.control import AttemptControl
from service.core.engine_client import TrainingClient
from service.core.engine_protocol import (
    Command,
    CommandFailed,
    ForwardDone,
    OptimStepDone,
    Result,
    SampleDone,
    SaveSnapshotTaken,
    SaveStored,
    SessionOpened,
    StoredFile,
    to_error,
)
from service.core.errors import Conflict

_POLL_SECONDS = 1.0
"""Longest deafness to a cancel or drain while waiting for the engine."""
_BEAT_SECONDS = 5.0
"""The engine closes a session that it has not heard of for a minute."""

R = TypeVar("R", ForwardDone, OptimStepDone, SampleDone)


@dataclass(frozen=True)
class StoredSave:
    """A finished `save`."""

    name: str
    files: tuple[StoredFile, ...]


class EngineSession:
    """Numbers the commands and sorts the results. Not thread-safe."""

    def __init__(
        self, client: TrainingClient, opened: SessionOpened, control: AttemptControl
    ) -> None:
        self._client = client
        self._id = opened.session
        self._control = control
        self._next_seq = opened.next_seq
        self._unsent: list[Command] = []
        self._cursor = 0
        self._computed: dict[int, ForwardDone | OptimStepDone | SampleDone] = {}
        self._saving: dict[int, str] = {}
        self._stored: list[StoredSave] = []
        self._heard = time.monotonic()

    def beat(self) -> None:
        """Keep the session open while its owner is busy with something else; cheap to call."""
        if time.monotonic() - self._heard > _BEAT_SECONDS:
            self._take_in(wait_seconds=0)

    def submit(self, build: Callable[..., Command]) -> int:
        """Give the next number, as `seq`, to a command; it leaves with the next `flush`."""
        seq = self._next_seq
        self._next_seq += 1
        command = build(seq=seq)
        if command.op == "save":
            self._saving[seq] = command.name
        self._unsent.append(command)
        return seq

    def flush(self) -> None:
        """Send what was submitted, in one request."""
        if not self._unsent:
            return
        try:
            self._client.append(self._id, self._unsent)
        except Conflict:
            # A failed session refuses commands; the result of the one that failed says why.
            self._take_in(wait_seconds=0)
            raise
        self._unsent = []

    def forward_result(self, seq: int) -> ForwardDone:
        return self._result(seq, ForwardDone)

    def optimizer_result(self, seq: int) -> OptimStepDone:
        return self._result(seq, OptimStepDone)

    def sample_result(self, seq: int) -> SampleDone:
        return self._result(seq, SampleDone)

    @property
    def is_saving(self) -> bool:
        """Whether something is on its way to the store."""
        return bool(self._saving)

    def take_stored(self) -> list[StoredSave]:
        """Saves that have become whole since the last call."""
        stored, self._stored = self._stored, []
        return stored

    def wait_all_stored(self) -> list[StoredSave]:
        """Block until every save is whole."""
        while self._saving:
            self._pump()
        return self.take_stored()

    def close(self) -> None:
        self._client.close_session(self._id)

    def _result(self, seq: int, kind: type[R]) -> R:
        self.flush()
        while seq not in self._computed:
            self._pump()
        result = self._computed.pop(seq)
        if not isinstance(result, kind):
            raise TypeError(f"command {seq} gave {result.kind}, not {kind.__name__}")
        return result

    def _pump(self) -> None:
        """Wait for the engine's next answers; raises what a failed command raised."""
        self._control.check()
        self._take_in(wait_seconds=_POLL_SECONDS)

    def _take_in(self, *, wait_seconds: float) -> None:
        answered = self._client.wait_results(
            self._id, after=self._cursor, wait_seconds=wait_seconds
        )
        self._heard = time.monotonic()
        self._cursor = answered.cursor
        for result in answered.results:
            self._sort(result)

    def _sort(self, result: Result) -> None:
        match result:
            case CommandFailed():
                raise to_error(result.error)
            case SaveStored():
                self._stored.append(StoredSave(self._saving.pop(result.seq), result.files))
            case SaveSnapshotTaken():
                return
            case _:
                self._computed[result.seq] = result
