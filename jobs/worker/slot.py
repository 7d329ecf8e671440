"""One slot: a forked process that is an RQ worker under a stable name."""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError

from jobs.runner.resources import WorkerProcess
from jobs.tasks import tasks_of
from jobs.worker.safe_job import safe_job_class
from jobs.worker.worker import HorseWorker
from service.core.database import Database
from service.core.domain.work import WorkKind
from service.core.errors import DatabaseUnavailable
from service.core.queue import connect_redis, queue_name
from service.core.repositories.work import WorkRepository

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5


def serve(process: WorkerProcess, kind: WorkKind) -> None:
    """Take work of this kind until told to stop.

    Whatever the former self of this name had claimed is given up first: it is dead, so nobody
    needs to wait for its leases.
    """
    redis = _wait_for_redis(process)
    _wait_for_database(process)
    worker = HorseWorker(
        queue_name(kind, process.settings.pool),
        name=process.worker,
        connection=redis,
        job_class=safe_job_class(tasks_of(process)),
        on_horse_lost=lambda: _try_end_leases(process),
    )
    worker.work(logging_level=process.settings.log_level.upper())


def _wait_for_redis(process: WorkerProcess) -> Redis:
    redis = connect_redis(process.settings)
    while True:
        try:
            redis.ping()
            return redis
        except RedisError as error:
            logger.warning("waiting for Redis: %s", error)
            time.sleep(_PAUSE_SECONDS)


def _wait_for_database(process: WorkerProcess) -> None:
    while not _try_end_leases(process):
        time.sleep(_PAUSE_SECONDS)


def _try_end_leases(process: WorkerProcess) -> bool:
    """No horse of this name lives; the database's connection is closed again before a fork."""
    database = Database(process.settings.database_url)
    try:
        with database.transaction() as connection:
            WorkRepository(connection).expire_leases_of(process.worker)
        return True
    except DatabaseUnavailable as error:
        logger.warning("the leases of %s run on: %s", process.worker, error)
        return False
    finally:
        database.dispose()
