"""Readiness: every component must have been ready once; later only the database counts."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from redis import Redis
from redis.exceptions import RedisError

from service.core.database import Database
from service.core.domain.work import WorkKind
from service.core.errors import ServiceError
from service.core.queue import has_worker, queue_name
from service.core.repositories.registry import RegistryRepository
from service.core.storage import ObjectStore

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
_READY = "ready"

Check = Callable[[], str]
"""Blocks; `ready` or the reason why not."""


@dataclass(frozen=True)
class Report:
    """How the whole service is."""

    status: Literal["ready", "starting", "degraded", "unavailable"]
    components: dict[str, str]

    @property
    def serves(self) -> bool:
        return self.status in ("ready", "degraded")


class Readiness:
    """Asks the components, and remembers which have been ready."""

    def __init__(self, database: Database, redis: Redis, store: ObjectStore, *, pool: str) -> None:
        self._database = database
        self._redis = redis
        self._store = store
        self._pool = pool
        self._checks: dict[str, Check] = {
            "database": self._check_database,
            "redis": self._check_redis,
            "object_store": self._check_object_store,
            "engine": self._check_engine,
            "worker": self._check_worker,
        }
        self._seen: set[str] = set()
        # a component that hangs must not take the threads that routes run in
        self._threads = CapacityLimiter(2 * len(self._checks))

    async def report(self) -> Report:
        answers = await asyncio.gather(*map(self._ask, self._checks.values()))
        components = dict(zip(self._checks, answers, strict=True))
        self._seen.update(name for name, answer in components.items() if answer == _READY)
        if len(self._seen) < len(self._checks):
            return Report("starting", components)
        if components["database"] != _READY:
            return Report("unavailable", components)
        healthy = all(answer == _READY for answer in answers)
        return Report("ready" if healthy else "degraded", components)

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await run_sync(check, limiter=self._threads, abandon_on_cancel=True)
        except TimeoutError:
            return f"does not answer within {_PATIENCE_SECONDS:g} s"
        except (ServiceError, RedisError) as error:
            logger.debug("not ready: %s", error)
            return "does not answer"

    def _check_database(self) -> str:
        with self._database.snapshot() as connection:
            RegistryRepository(connection).has_live_engine()
        return _READY

    def _check_redis(self) -> str:
        self._redis.ping()
        return _READY

    def _check_object_store(self) -> str:
        self._store.ensure_bucket()
        return _READY

    def _check_engine(self) -> str:
        with self._database.snapshot() as connection:
            alive = RegistryRepository(connection).has_live_engine()
        return _READY if alive else "no engine has reported lately"

    def _check_worker(self) -> str:
        for kind in (WorkKind.TRAINING, WorkKind.VALIDATION):
            queue = queue_name(kind, self._pool)
            if not has_worker(self._redis, queue):
                return f"no worker listens to the queue {queue}"
        return _READY
