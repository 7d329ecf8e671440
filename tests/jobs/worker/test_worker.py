"""Workers as processes: whatever is killed, cut off or told twice, each job ends once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.serializers import JSONSerializer

from service.core.domain.jobs import JobStatus
from service.core.domain.webhooks import WebhookEventType
from service.core.domain.work import WorkKind
from service.core.encryption import Cipher
from service.core.queue import TASKS
from service.core.repositories.webhooks import WebhookEndpointRepository
from service.core.settings import Settings
from service.core.webhooks.signing import new_signing_secret
from service.supervisor.ports import free_port_pairs
from tests.fakes.engine import FakeEngine
from tests.fakes.receiver import ENCRYPTION_KEY, running_receiver
from tests.jobs.processes import Running, is_alive, running_reconciler, running_worker
from tests.jobs.shop import GOOD_LINES, Shop
from tests.polling import poll_until
from tests.servers.valkey import running_valkey

pytestmark = pytest.mark.usefixtures("engine")

LEASE_SECONDS = 600
"""Longer than any test, so that no recovery here waits for the end of a lease."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_seconds": LEASE_SECONDS, "ring_again_seconds": 1})


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with Redis.from_url(settings.redis_url) as client:
        yield client


@contextmanager
def running_both(settings: Settings) -> Iterator[Running]:
    """A reconciler and a worker; yields the worker."""
    with running_reconciler(settings), running_worker(settings) as worker:
        yield worker


def wait_for(shop: Shop, job_id: str, status: JobStatus) -> None:
    def reached() -> bool:
        job = shop.job(job_id)
        assert job.status is status or not job.finished, job.error
        return job.status is status

    poll_until(reached, f"the job is {status}", timeout_seconds=40)


def start_training(shop: Shop, engine: FakeEngine) -> str:
    """A job that is in the middle of its training, and stays there until the engine's release."""
    engine.hold_training()
    job_id = shop.create_job()
    wait_for(shop, job_id, JobStatus.RUNNING)
    poll_until(lambda: any(s.queue for s in engine.sessions.values()), "commands have arrived")
    return job_id


def test_a_job_is_validated_and_trained(shop: Shop, settings: Settings) -> None:
    with running_both(settings):
        job_id = shop.create_job()
        wait_for(shop, job_id, JobStatus.SUCCEEDED)

    assert shop.codes(job_id)[:2] == ["files_validated", "attempt_started"]
    assert shop.codes(job_id)[-1] == "job_succeeded"


def test_a_killed_horse_costs_an_attempt_and_no_wait_for_the_lease(
    shop: Shop, settings: Settings, engine: FakeEngine
) -> None:
    with running_both(settings) as worker:
        job_id = start_training(shop, engine)
        os.kill(worker.horse(), signal.SIGKILL)
        engine.release()
        wait_for(shop, job_id, JobStatus.SUCCEEDED)

    assert shop.job(job_id).attempts == 2
    assert "attempt_lost" in shop.codes(job_id)


def test_a_killed_parent_takes_every_process_with_it_and_its_successor_goes_on(
    shop: Shop, settings: Settings, engine: FakeEngine
) -> None:
    with running_both(settings) as worker:
        job_id = start_training(shop, engine)
        family = [*worker.children, worker.horse()]
        worker.process.kill()
        poll_until(lambda: not any(map(is_alive, family)), "no process is left", timeout_seconds=5)

    engine.release()
    with running_both(settings):
        wait_for(shop, job_id, JobStatus.SUCCEEDED)
    assert shop.job(job_id).attempts == 2


def test_an_engine_that_loses_its_sessions_costs_an_attempt(
    shop: Shop, settings: Settings, engine: FakeEngine
) -> None:
    with running_both(settings):
        job_id = start_training(shop, engine)
        engine.lose_sessions()
        engine.release()
        wait_for(shop, job_id, JobStatus.SUCCEEDED)

    assert shop.job(job_id).attempts == 2


def test_sigterm_gives_the_job_back_without_blame(
    shop: Shop, settings: Settings, engine: FakeEngine
) -> None:
    with running_both(settings) as worker:
        job_id = start_training(shop, engine)
        assert worker.terminate() == 0

    assert shop.status(job_id) is JobStatus.QUEUED
    assert shop.codes(job_id)[-1] == "attempt_lost"
    assert shop.failures() == 0
    assert engine.sessions == {}


def test_cancel_frees_the_engine_and_the_worker(
    shop: Shop, settings: Settings, engine: FakeEngine
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 3})  # so that a beat comes soon
    with running_both(settings) as worker:
        job_id = start_training(shop, engine)
        shop.cancel(job_id)
        poll_until(lambda: not engine.sessions and not worker.horses, "slot and engine are free")
        engine.release()
        wait_for(shop, shop.create_job(), JobStatus.SUCCEEDED)

    assert shop.status(job_id) is JobStatus.CANCELLED
    assert shop.model(job_id) is None


def test_the_same_ring_many_times_on_several_workers_runs_the_job_once(
    shop: Shop, settings: Settings, redis: Redis
) -> None:
    job_id = shop.create_job()
    for kind, queue in ((WorkKind.VALIDATION, "short"), (WorkKind.TRAINING, "train.default")):
        for number in range(5):
            Queue(queue, connection=redis, serializer=JSONSerializer).enqueue(
                TASKS[kind], job_id, job_id=f"copy-{kind}-{number}"
            )
    settings = settings.model_copy(update={"training_slots": 2, "short_slots": 2})

    with running_both(settings):
        wait_for(shop, job_id, JobStatus.SUCCEEDED)
        poll_until(lambda: not redis.llen("rq:queue:short"), "every copy is answered")

    assert shop.job(job_id).attempts == 1
    assert shop.codes(job_id).count("attempt_started") == 1


def test_a_flushed_redis_loses_nothing(
    shop: Shop, settings: Settings, engine: FakeEngine, redis: Redis
) -> None:
    with running_both(settings):
        running = start_training(shop, engine)
        waiting = [shop.create_job() for _ in range(3)]
        poll_until(
            lambda: all(shop.status(job) is JobStatus.QUEUED for job in waiting), "all are queued"
        )
        redis.flushall()
        engine.release()
        for job_id in [running, *waiting]:
            wait_for(shop, job_id, JobStatus.SUCCEEDED)

    assert [shop.job(job).attempts for job in [running, *waiting]] == [1, 1, 1, 1]


def test_nothing_but_our_tasks_can_be_run_through_redis(
    shop: Shop, settings: Settings, redis: Redis, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    queue = Queue("short", connection=redis, serializer=JSONSerializer)
    intruder = queue.enqueue("os.system", f"touch {trace}", failure_ttl=600)
    caller = queue.enqueue(
        TASKS[WorkKind.VALIDATION],
        "nobody",
        on_success=Callback("tests.jobs.worker.intruder.fail"),
    )

    with running_both(settings):
        poll_until(lambda: bool(intruder.get_status().value == "failed"), "it is refused")
        poll_until(lambda: bool(caller.get_status().value == "finished"), "the task ran")
        wait_for(shop, shop.create_job(), JobStatus.SUCCEEDED)

    assert not trace.exists()


def test_a_redis_outage_in_mid_training_is_not_noticed_by_the_job(
    shop: Shop, settings: Settings, engine: FakeEngine, tmp_path: Path
) -> None:
    port, folder = free_port_pairs(1)[0], tmp_path / "valkey"
    with ExitStack() as outage:
        url = outage.enter_context(running_valkey(folder, port=port))
        settings = settings.model_copy(update={"redis_url": url})
        with running_both(settings) as worker:
            job_id = start_training(shop, engine)
            horse = worker.horse()
            outage.close()
            engine.release()
            wait_for(shop, job_id, JobStatus.SUCCEEDED)
            with running_valkey(folder, port=port):
                wait_for(shop, shop.create_job(), JobStatus.SUCCEEDED)
    assert not is_alive(horse)
    assert shop.job(job_id).attempts == 1


def test_a_worker_waits_for_a_redis_that_is_not_there_yet(
    shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    port, folder = free_port_pairs(1)[0], tmp_path / "valkey"
    with running_valkey(folder, port=port) as url:
        settings = settings.model_copy(update={"redis_url": url})
    job_id = shop.create_job()

    with running_both(settings) as worker:
        poll_until(lambda: worker.said("waiting for Redis"), "it waits")
        with running_valkey(folder, port=port):
            wait_for(shop, job_id, JobStatus.SUCCEEDED)
            assert worker.terminate() == 0


def test_a_slow_receiver_of_webhooks_holds_nothing_else_up(shop: Shop, settings: Settings) -> None:
    with running_receiver() as receiver, running_both(settings):
        receiver.may_answer.clear()
        with shop.database.transaction() as connection:
            WebhookEndpointRepository(connection, shop.scope).add(
                name="slow",
                url=receiver.url,
                event_types=[WebhookEventType.JOB_SUCCEEDED],
                sealed_secret=Cipher(ENCRYPTION_KEY).seal(new_signing_secret()),
                hint="",
            )
        wait_for(shop, shop.create_job(), JobStatus.SUCCEEDED)
        poll_until(lambda: bool(receiver.received), "the receiver is asked")
        wait_for(shop, shop.create_job(), JobStatus.SUCCEEDED)
        assert len(receiver.received) == 1


def test_a_bad_file_fails_the_job_and_leaves_the_worker(shop: Shop, settings: Settings) -> None:
    with running_both(settings):
        job_id = shop.create_job([*GOOD_LINES, "{"])
        wait_for(shop, job_id, JobStatus.FAILED)


def test_the_worker_imports_no_torch() -> None:
    code = (
        "import sys, jobs.worker.main, jobs.reconciler.main\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
