"""One round gives back what fell silent and rings for what is due."""

import threading

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.reconciler.rounds import Reconciler
from jobs.runner.attempt import claim_best, claim_subject
from jobs.runner.outcomes import INFRASTRUCTURE_FAILURES
from service.core.database import Database
from service.core.domain.jobs import JobStatus
from service.core.domain.work import Claim, WorkKind
from service.core.queue import Doorbell, connect_redis
from service.core.repositories.jobs import JobRepository
from tests.fakes.engine import FakeEngine
from tests.jobs.shop import Shop


@pytest.fixture
def reconciler(shop: Shop) -> Reconciler:
    return Reconciler(shop.database, shop.resources.doorbell)


@pytest.fixture
def redis(shop: Shop) -> Redis:
    return connect_redis(shop.resources.settings)


def queue(redis: Redis, name: str) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer)


def rung(redis: Redis, name: str) -> list[str]:
    """The subjects that wait in a queue."""
    return [ring.args[0] for ring in queue(redis, name).jobs]


def claimed_training(shop: Shop) -> Claim:
    """A job that runs, in the hands of a worker that will never answer."""
    shop.validate(shop.create_job())
    claim = claim_best(shop.resources, WorkKind.TRAINING)
    assert claim is not None
    with shop.database.transaction() as connection:
        JobRepository(connection, shop.scope).move(claim.subject_id, JobStatus.RUNNING)
    return claim


def test_due_work_is_rung_once(shop: Shop, reconciler: Reconciler, redis: Redis) -> None:
    job_id = shop.create_job()

    reconciler.round()
    reconciler.round()

    assert rung(redis, "short") == [job_id]


def test_a_running_job_whose_worker_fell_silent_is_queued_and_rung_again(
    shop: Shop, reconciler: Reconciler, redis: Redis, engine: FakeEngine
) -> None:
    claim = claimed_training(shop)
    reconciler.round()
    assert shop.status(claim.subject_id) is JobStatus.RUNNING

    shop.end_leases()
    reconciler.round()

    assert shop.status(claim.subject_id) is JobStatus.QUEUED
    assert shop.codes(claim.subject_id)[-1] == "attempt_lost"
    assert shop.failures() == 1
    assert rung(redis, "train.default") == [claim.subject_id]
    assert engine.sessions == {}


def test_a_validation_whose_worker_fell_silent_is_repeated(
    shop: Shop, reconciler: Reconciler, engine: FakeEngine
) -> None:
    job_id = shop.create_job()
    assert claim_subject(shop.resources, WorkKind.VALIDATION, job_id) is not None
    shop.end_leases()

    reconciler.round()

    assert shop.status(job_id) is JobStatus.VALIDATING_FILES
    assert shop.validate(job_id).status is JobStatus.QUEUED
    assert engine.sessions == {}


@pytest.mark.usefixtures("engine")
def test_a_job_that_kills_its_workers_ends(shop: Shop, reconciler: Reconciler) -> None:
    claim: Claim | None = claimed_training(shop)
    job_id = claim.subject_id if claim else ""
    for _ in range(INFRASTRUCTURE_FAILURES):
        assert claim is not None
        shop.end_leases()
        reconciler.round()
        shop.end_pauses()
        claim = claim_best(shop.resources, WorkKind.TRAINING)

    error = shop.job(job_id).error
    assert claim is None
    assert error is not None
    assert error.code == "infrastructure_failed"


@pytest.mark.usefixtures("engine")
def test_several_reconcilers_count_one_loss_once(shop: Shop) -> None:
    claim = claimed_training(shop)
    shop.end_leases()
    start = threading.Barrier(4)

    def race() -> None:
        database = Database(shop.database.url)
        redis = connect_redis(shop.resources.settings)
        start.wait()
        Reconciler(database, Doorbell(database, redis, ring_again_seconds=30)).round()
        database.dispose()
        redis.close()

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert shop.codes(claim.subject_id).count("attempt_lost") == 1
    assert shop.failures() == 1


@pytest.mark.usefixtures("engine")
def test_work_of_a_job_that_is_over_is_dropped_and_holds_up_nothing(
    shop: Shop, reconciler: Reconciler
) -> None:
    claim = claimed_training(shop)
    with shop.database.transaction() as connection:
        JobRepository(connection, shop.scope).move(claim.subject_id, JobStatus.CANCELLED)
    shop.end_leases()

    reconciler.round()

    assert shop.status(claim.subject_id) is JobStatus.CANCELLED
    assert shop.open_work() == []


def test_a_ring_that_redis_knows_but_nobody_will_answer_is_repeated(
    shop: Shop, redis: Redis
) -> None:
    """As when the worker that took it died: the job's hash is there, its place in line is not."""
    job_id = shop.create_job()
    impatient = Doorbell(shop.database, redis, ring_again_seconds=1e-9)
    impatient.ring_due()
    redis.delete(queue(redis, "short").key)

    impatient.ring_due()
    impatient.ring_due()

    assert rung(redis, "short") == [job_id]
