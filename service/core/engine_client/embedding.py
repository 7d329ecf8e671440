"""EmbeddingClient: an api process's line to the engines' embedding models."""

import httpx2
from pydantic import ValidationError

from service.core.engine_protocol import Embedded, EmbedRequest, ErrorBody, to_error
from service.core.errors import EngineUnavailable

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 120.0


class EmbeddingClient:
    """Belongs to one event loop. The engine's errors arrive as their own classes."""

    def __init__(self, *, internal_token: str) -> None:
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {internal_token}"},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )

    async def embed(self, engine_url: str, request: EmbedRequest) -> Embedded:
        """Raises ModelNotFound, EngineOverloaded, EngineUnavailable."""
        try:
            response = await self._http.post(
                f"{engine_url}/embed",
                content=request.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the engine at {engine_url} does not answer") from error
        if response.is_error:
            raise _error_of(response)
        return Embedded.model_validate_json(response.content)

    async def aclose(self) -> None:
        await self._http.aclose()


def _error_of(response: httpx2.Response) -> Exception:
    try:
        return to_error(ErrorBody.model_validate_json(response.content))
    except ValidationError:
        return EngineUnavailable(f"the engine's address answered {response.status_code}")
