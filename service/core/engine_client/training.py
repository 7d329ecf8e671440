"""TrainingClient: one worker's line to one engine, synchronous."""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx2
from pydantic import ValidationError

from service.core.engine_protocol import (
    Command,
    CommandBatch,
    CommandsAccepted,
    EngineState,
    ErrorBody,
    Message,
    OpenSession,
    ResultBatch,
    SessionOpened,
    to_error,
)
from service.core.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_RETRY_PAUSES_SECONDS = (0.1, 0.4)
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
"""Opening a session may fetch weights; results add their own wait."""

Answer = TypeVar("Answer", bound=Message)


class TrainingClient:
    """Every call may be repeated: `seq` makes commands idempotent, (job, epoch) the session. So a
    lost answer is asked for again, and only an engine that stays away raises EngineUnavailable.

    Errors of the engine arrive as their own classes of `service.core.errors`. Thread-safe. Open it
    after a fork, not before.
    """

    def __init__(
        self, url: str, *, internal_token: str, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._url = url
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {internal_token}"},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=transport,
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )

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

    def close(self) -> None:
        """Close the connections; sessions stay open."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: Message | None = None,
        query: dict[str, float] | None = None,
    ) -> Answer:
        return answer.model_validate_json(self._answer(method, path, body=body, query=query))

    def _answer(
        self,
        method: str,
        path: str,
        *,
        body: Message | None = None,
        query: dict[str, float] | None = None,
    ) -> bytes:
        request = self._http.build_request(
            method,
            path,
            content=body.model_dump_json() if body else None,
            headers={"Content-Type": "application/json"} if body else None,
            params=query,
        )
        response = self._send(request)
        if response.is_error:
            raise _error_of(response)
        return response.content

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        for pause_seconds in _RETRY_PAUSES_SECONDS:
            try:
                return self._http.send(request)
            except httpx2.TransportError as error:
                logger.warning("%s %s: %r, asking again", request.method, request.url.path, error)
                time.sleep(pause_seconds)
        try:
            return self._http.send(request)
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the engine at {self._url} does not answer") from error


def _error_of(response: httpx2.Response) -> Exception:
    try:
        return to_error(ErrorBody.model_validate_json(response.content))
    except ValidationError:
        return EngineUnavailable(f"the engine's address answered {response.status_code}")
