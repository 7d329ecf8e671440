"""The reconciler's process: a round every few seconds until it is told to stop."""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import closing

from redis.exceptions import RedisError

from jobs.reconciler.collector import Collector, collect
from jobs.reconciler.rounds import Reconciler
from jobs.reconciler.sweep import Sweeper
from service.core.database import Database
from service.core.errors import DatabaseUnavailable, StorageUnavailable
from service.core.logs import configure_logging
from service.core.queue import Doorbell, connect_redis
from service.core.settings import Settings
from service.core.storage import ObjectStore

logger = logging.getLogger(__name__)

_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_LONGEST_PAUSE_SECONDS = 5.0


def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Redis, the database or the object store being away only makes it
    wait, longer each time."""
    configure_logging(settings, "reconciler")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    database = Database(settings.database_url)
    try:
        with closing(connect_redis(settings)) as redis:
            doorbell = Doorbell(database, redis, ring_again_seconds=settings.ring_again_seconds)
            store = ObjectStore.from_settings(settings)
            collector = Collector(database, store, grace_seconds=settings.collect_after_seconds)

            def sweep() -> None:
                Sweeper(database, store).sweep()
                collect(collector)

            _repeat(Reconciler(database, doorbell), sweep, settings)
    finally:
        database.dispose()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _repeat(reconciler: Reconciler, sweep: Callable[[], None], settings: Settings) -> None:
    pause = every_seconds = settings.reconcile_seconds
    sweep_at = time.monotonic()
    while True:
        try:
            reconciler.round()
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + settings.sweep_seconds
                sweep()
            pause = every_seconds
        except (RedisError, DatabaseUnavailable, StorageUnavailable) as error:
            logger.warning("this round was cut short: %s", error)
            pause = min(2 * pause, max(every_seconds, _LONGEST_PAUSE_SECONDS))
        if signal.sigtimedwait(_STOP_SIGNALS, pause) is not None:
            return
