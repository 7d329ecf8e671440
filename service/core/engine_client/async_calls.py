"""One-shot calls of an api process to an engine."""

from typing import TypeVar

import httpx2
from pydantic import ValidationError

from service.core.engine_protocol import ErrorBody, Message, to_error
from service.core.errors import EngineUnavailable

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 120.0

AnswerMessage = TypeVar("AnswerMessage", bound=Message)


class AsyncEngineCalls:
    """Belongs to one event loop. The engine's errors arrive as their own classes."""

    def __init__(self, *, internal_token: str) -> None:
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {internal_token}"},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )

    async def call(self, url: str, request: Message, answer: type[AnswerMessage]) -> AnswerMessage:
        """Raises the engine's errors, and EngineUnavailable where there is none."""
        try:
            response = await self._http.post(
                url,
                content=request.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the engine does not answer at {url}") from error
        if response.is_error:
            raise _error_of(response)
        return answer.model_validate_json(response.content)

    async def aclose(self) -> None:
        await self._http.aclose()


def _error_of(response: httpx2.Response) -> Exception:
    try:
        return to_error(ErrorBody.model_validate_json(response.content))
    except ValidationError:
        return EngineUnavailable(f"the engine's address answered {response.status_code}")
