"""TrainingClient: training sessions, as a worker drives them."""

from collections.abc import Sequence

from service.core.engine_client.calls import EngineCalls
from service.core.engine_protocol import (
    Command,
    CommandBatch,
    CommandsAccepted,
    EngineState,
    OpenSession,
    ResultBatch,
    SessionOpened,
)


class TrainingClient(EngineCalls):
    """`seq` makes commands idempotent, (job, epoch) the session."""

    def open_session(self, request: OpenSession) -> SessionOpened:
        """Raises StaleEpoch, ModelNotFound, TooManyRequests, AdapterCorrupt."""
        return self._call("POST", "/sessions", SessionOpened, body=request)

    def append(self, session: str, commands: Sequence[Command]) -> CommandsAccepted:
        """Raises SequenceGap and SessionNotFound."""
        batch = CommandBatch(commands=tuple(commands))
        return self._call("POST", f"/sessions/{session}/commands", CommandsAccepted, body=batch)

    def wait_results(self, session: str, *, after: int, wait_seconds: float = 20.0) -> ResultBatch:
        """Results past `after`; empty when `wait_seconds` (at most 30) bring none.

        Also the session's beat. Raises SessionNotFound.
        """
        query = {"after": after, "wait": wait_seconds}
        return self._call("GET", f"/sessions/{session}/results", ResultBatch, query=query)

    def close_session(self, session: str) -> None:
        """A session that is already gone is no error."""
        self._answer("DELETE", f"/sessions/{session}")

    def state(self) -> EngineState:
        return self._call("GET", "/state", EngineState)
