"""A worker's line to one engine, synchronous: what all its calls share."""

import logging
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx2
from pydantic import ValidationError

from service.core.engine_protocol import ErrorBody, Message, to_error
from service.core.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_RETRY_PAUSES_SECONDS = (0.1, 0.4)
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
"""Opening a session may fetch weights; results add their own wait."""

Answer = TypeVar("Answer", bound=Message)


class EngineCalls:
    """Calls that may be repeated: a lost answer is asked for again, and only an engine that stays
    away raises EngineUnavailable.

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

    def close(self) -> None:
        """Close the connections; what runs in the engine goes on."""
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
