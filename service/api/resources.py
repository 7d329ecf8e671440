"""What an api process holds for its whole life, opened and closed with the application."""

from dataclasses import dataclass
from typing import TypedDict

from redis import Redis

from service.api.chat.codecs import CodecCache
from service.api.health.readiness import Readiness
from service.core.database import Database
from service.core.engine_client import GenerationClient
from service.core.queue import Doorbell, connect_redis
from service.core.settings import Settings
from service.core.storage import ObjectStore


@dataclass(frozen=True)
class Resources:
    """Connections; none of them talks to its server before the first use."""

    settings: Settings
    database: Database
    store: ObjectStore
    redis: Redis
    doorbell: Doorbell
    generation: GenerationClient
    codecs: CodecCache
    readiness: Readiness

    @classmethod
    def open(cls, settings: Settings) -> "Resources":
        database, redis = Database(settings.database_url), connect_redis(settings)
        store = ObjectStore.from_settings(settings)
        return cls(
            settings=settings,
            database=database,
            store=store,
            redis=redis,
            doorbell=Doorbell(database, redis, ring_again_seconds=settings.lease_seconds),
            generation=GenerationClient(internal_token=settings.internal_token.get_secret_value()),
            codecs=CodecCache(store, settings.cache_dir),
            readiness=Readiness(database, redis, store, pool=settings.pool),
        )

    async def aclose(self) -> None:
        await self.generation.aclose()
        self.redis.close()
        self.database.dispose()


class State(TypedDict):
    """What the lifespan gives to every request as `request.state`."""

    resources: Resources
