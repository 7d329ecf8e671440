"""What a worker holds: some of it made before the fork, the rest opened after it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from jobs.runner.codecs import Codecs
from service.core.database import Database
from service.core.queue import Doorbell, connect_redis
from service.core.settings import Settings
from service.core.storage import ObjectStore


@dataclass(frozen=True)
class Resources:
    """Open connections of one process."""

    settings: Settings
    store: ObjectStore
    codecs: Codecs
    worker: str
    """Stable name of the worker: a later process of this name inherits its unfinished claims."""
    database: Database
    doorbell: Doorbell


@dataclass(frozen=True)
class WorkerProcess:
    """What the parent prepares and every horse inherits: no connection is open in it."""

    settings: Settings
    store: ObjectStore
    codecs: Codecs
    worker: str

    @contextmanager
    def open(self) -> Iterator[Resources]:
        """Connect; call it only after the last fork."""
        database = Database(self.settings.database_url)
        try:
            with closing(connect_redis(self.settings)) as redis:
                doorbell = Doorbell(
                    database, redis, ring_again_seconds=self.settings.ring_again_seconds
                )
                yield Resources(
                    self.settings, self.store, self.codecs, self.worker, database, doorbell
                )
        finally:
            database.dispose()
