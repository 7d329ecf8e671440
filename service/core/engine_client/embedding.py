"""EmbeddingClient: an api process's line to the engines' embedding models."""

from service.core.engine_client.async_calls import AsyncEngineCalls
from service.core.engine_protocol import Embedded, EmbedRequest


class EmbeddingClient(AsyncEngineCalls):
    """Belongs to one event loop. The engine's errors arrive as their own classes."""

    async def embed(self, engine_url: str, request: EmbedRequest) -> Embedded:
        """Raises ModelNotFound, EngineOverloaded, EngineUnavailable."""
        return await self.call(f"{engine_url}/embed", request, Embedded)
