"""What an api process holds for its whole life, opened and closed with the application."""

from dataclasses import dataclass
from typing import TypedDict

from anyio import CapacityLimiter
from redis import Redis

from service.api.chat.codecs import CodecCache
from service.api.embeddings.codecs import EmbeddingCodecCache
from service.api.health.readiness import Readiness
from service.api.ringer import Ringer
from service.core.database import Database
from service.core.encryption import Cipher
from service.core.engine_client import ClassificationClient, EmbeddingClient, GenerationClient
from service.core.graders import PythonCode
from service.core.graders.endpoint import ModelEndpoint
from service.core.queue import Doorbell, connect_redis
from service.core.rate_limits import RateLimits
from service.core.settings import Settings
from service.core.storage import ObjectStore

_UPLOADS_AT_ONCE = 8
"""Further uploads wait: each holds a thread and some 16 MB of parts on their way."""


@dataclass(frozen=True)
class Resources:
    """Connections; none of them talks to its server before the first use."""

    settings: Settings
    database: Database
    store: ObjectStore
    redis: Redis
    ringer: Ringer
    generation: GenerationClient
    codecs: CodecCache
    embedding: EmbeddingClient
    classification: ClassificationClient
    embedding_codecs: EmbeddingCodecCache
    readiness: Readiness
    upload_slots: CapacityLimiter
    cipher: Cipher
    rate_limits: RateLimits
    python_code: PythonCode
    grader_endpoint: ModelEndpoint

    @classmethod
    def open(cls, settings: Settings) -> "Resources":
        """Call it in the event loop that will serve."""
        database, redis = Database(settings.database_url), connect_redis(settings)
        store = ObjectStore.from_settings(settings)
        token = settings.internal_token.get_secret_value()
        doorbell = Doorbell(database, redis, ring_again_seconds=settings.ring_again_seconds)
        return cls(
            settings=settings,
            database=database,
            store=store,
            redis=redis,
            ringer=Ringer(doorbell),
            generation=GenerationClient(internal_token=token),
            codecs=CodecCache(store, settings.cache_dir),
            embedding=EmbeddingClient(internal_token=token),
            classification=ClassificationClient(internal_token=token),
            embedding_codecs=EmbeddingCodecCache(store, settings.cache_dir),
            readiness=Readiness(database, redis, store, pool=settings.pool),
            upload_slots=CapacityLimiter(_UPLOADS_AT_ONCE),
            cipher=Cipher.from_settings(settings),
            rate_limits=RateLimits.from_settings(settings),
            python_code=PythonCode.from_settings(settings),
            grader_endpoint=ModelEndpoint.from_settings(settings),
        )

    async def aclose(self) -> None:
        await self.generation.aclose()
        await self.embedding.aclose()
        await self.grader_endpoint.aclose()
        await self.classification.aclose()
        self.redis.close()
        self.rate_limits.close()
        self.database.dispose()


class State(TypedDict):
    """What the lifespan gives to every request as `request.state`."""

    resources: Resources
