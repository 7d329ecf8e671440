"""ClassificationClient: an api process's line to the heads that engines serve."""

from service.core.engine_client.async_calls import AsyncEngineCalls
from service.core.engine_protocol import Classified, ClassifyRequest


class ClassificationClient(AsyncEngineCalls):
    """Belongs to one event loop. The engine's errors arrive as their own classes."""

    async def classify(self, engine_url: str, request: ClassifyRequest) -> Classified:
        """Raises ModelNotFound, InvalidRequest for a model without a head, AdapterCorrupt,
        StorageUnavailable, EngineOverloaded, EngineUnavailable."""
        return await self.call(f"{engine_url}/classify", request, Classified)
