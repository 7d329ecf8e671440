"""The doorbell rings for due work, and a lost ring is rung again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from service.core.database import Database, upgrade
from service.core.domain.access import Scope
from service.core.domain.work import WorkKind
from service.core.queue import Doorbell, connect_redis
from service.core.repositories.access import AccessRepository
from service.core.repositories.work import WorkRepository
from service.core.settings import Settings
from tests.servers.ports import free_port


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Redis]:
    client = connect_redis(Settings(redis_url=valkey_url))
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'tunery.db'}"
    upgrade(url)
    opened = Database(url)
    yield opened
    opened.dispose()


def add(database: Database, scope: Scope, kind: WorkKind, subject: str) -> None:
    with database.transaction() as connection:
        WorkRepository(connection).add(scope.project_id, kind, subject, pool="blue")


@pytest.fixture
def scope(database: Database) -> Scope:
    with database.transaction() as connection:
        return AccessRepository(connection).ensure_default_project("acme")


def waiting(redis: Redis, queue: str) -> list[tuple[str, tuple[object, ...]]]:
    """Function and arguments of each ring that no worker has taken."""
    jobs = Queue(queue, connection=redis, serializer=JSONSerializer).jobs
    return [(job.func_name, job.args) for job in jobs]


def test_a_ring_carries_the_subjects_id_and_nothing_else(
    database: Database, scope: Scope, redis: Redis
) -> None:
    add(database, scope, WorkKind.TRAINING, "ftjob-1")
    add(database, scope, WorkKind.VALIDATION, "ftjob-2")

    rung = Doorbell(database, redis, ring_again_seconds=60).ring_due()

    assert rung == 2
    assert [(name, [*args]) for name, args in waiting(redis, "train.blue")] == [
        ("jobs.tasks.train", ["ftjob-1"])
    ]
    assert [(name, [*args]) for name, args in waiting(redis, "short")] == [
        ("jobs.tasks.validate", ["ftjob-2"])
    ]


def test_it_rings_once_until_the_pause_is_over(
    database: Database, scope: Scope, redis: Redis
) -> None:
    add(database, scope, WorkKind.TRAINING, "ftjob-1")
    patient = Doorbell(database, redis, ring_again_seconds=60)

    assert [patient.ring_due(), patient.ring_due()] == [1, 0]


def test_a_ring_that_still_waits_is_not_doubled(
    database: Database, scope: Scope, redis: Redis
) -> None:
    add(database, scope, WorkKind.TRAINING, "ftjob-1")
    impatient = Doorbell(database, redis, ring_again_seconds=-1)

    assert [impatient.ring_due(), impatient.ring_due()] == [1, 1]
    assert len(waiting(redis, "train.blue")) == 1


def test_rings_that_redis_forgot_are_rung_again(
    database: Database, scope: Scope, redis: Redis
) -> None:
    add(database, scope, WorkKind.TRAINING, "ftjob-1")
    impatient = Doorbell(database, redis, ring_again_seconds=-1)
    impatient.ring_due()

    redis.flushall()
    impatient.ring_due()

    assert len(waiting(redis, "train.blue")) == 1


def test_work_waits_in_the_table_while_redis_is_away(
    database: Database, scope: Scope, redis: Redis
) -> None:
    add(database, scope, WorkKind.TRAINING, "ftjob-1")
    away = connect_redis(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    unheard = Doorbell(database, away, ring_again_seconds=60)

    with pytest.raises(RedisError):
        unheard.ring_due()

    assert unheard.try_ring_due() == 0
    assert Doorbell(database, redis, ring_again_seconds=60).try_ring_due() == 1


def test_a_missing_database_is_no_error_for_whoever_only_tries(
    tmp_path: Path, redis: Redis
) -> None:
    missing = Database(f"sqlite:///{tmp_path / 'missing' / 'tunery.db'}")

    assert Doorbell(missing, redis, ring_again_seconds=60).try_ring_due() == 0
    missing.dispose()
