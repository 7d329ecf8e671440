"""Readiness: ready once everything has been, unready later only without the database."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis as redis_client
from rq import Queue, Worker

from service.core.queue import connect_redis
from service.core.settings import Settings
from tests.fakes.engine import FakeEngine
from tests.fakes.serving import INTERNAL_TOKEN
from tests.polling import poll_until
from tests.running_api import RunningApi, api_settings, running_api
from tests.servers.seaweedfs import S3Credentials
from tests.servers.valkey import running_valkey

INTERNAL = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}


@pytest.fixture
def settings(tmp_path: Path, s3_credentials: S3Credentials) -> Iterator[Settings]:
    with running_valkey(tmp_path / "valkey") as url:
        yield api_settings(tmp_path, s3_credentials, url, pool="healthy")


@pytest.fixture
def fresh_api(settings: Settings) -> Iterator[RunningApi]:
    with running_api(settings) as running:
        yield running


def readyz(api: RunningApi) -> tuple[int, str, dict[str, str]]:
    response = httpx2.get(f"{api.url}/readyz", timeout=30)
    body = response.json()
    return response.status_code, body["status"], body["components"]


def listen(settings: Settings, *queues: str) -> Worker:
    """A worker's registration, without its work."""
    connection = connect_redis(settings)
    worker = Worker([Queue(name, connection=connection) for name in queues], connection=connection)
    worker.register_birth()
    return worker


def test_the_process_is_healthy_by_itself(fresh_api: RunningApi) -> None:
    response = httpx2.get(f"{fresh_api.url}/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_means_that_every_component_has_been_ready_once(
    fresh_api: RunningApi, settings: Settings
) -> None:
    status, word, components = readyz(fresh_api)
    assert (status, word) == (503, "starting")
    assert {n for n, answer in components.items() if answer == "ready"} == {
        "database",
        "redis",
        "object_store",
    }
    assert "train.healthy" in components["worker"]

    engine = FakeEngine()
    fresh_api.report(engine)
    worker = listen(settings, "train.healthy")
    assert readyz(fresh_api)[2]["worker"] == "no worker listens to the queue short"
    short_worker = listen(settings, "short")
    assert readyz(fresh_api)[:2] == (200, "ready")

    for leaving in (worker, short_worker):
        leaving.register_death()
    httpx2.delete(f"{fresh_api.url}/internal/engines/{engine.state().id}", headers=INTERNAL)
    status, word, components = readyz(fresh_api)
    assert (status, word) == (200, "degraded")
    assert components["engine"] == "no engine has reported lately"


def test_a_killed_worker_does_not_count_once_its_heartbeat_has_expired(
    fresh_api: RunningApi, settings: Settings
) -> None:
    worker = listen(settings, "train.healthy", "short")
    assert readyz(fresh_api)[2]["worker"] == "ready"

    with redis_client.Redis.from_url(settings.redis_url) as redis:
        redis.delete(worker.key)

    assert readyz(fresh_api)[2]["worker"] != "ready"


def test_a_component_that_is_away_is_named(tmp_path: Path, s3_credentials: S3Credentials) -> None:
    away = {"redis_url": "redis://127.0.0.1:1/0", "s3_endpoint_url": "http://127.0.0.1:1"}
    settings = api_settings(tmp_path, s3_credentials, "redis://127.0.0.1:1/0")
    with running_api(settings.model_copy(update=away)) as api:
        status, _, components = readyz(api)

    assert status == 503
    assert components["database"] == "ready"
    assert "does not answer" in components["redis"]
    assert "does not answer" in components["object_store"]


def test_jobs_are_created_while_redis_is_away(
    tmp_path: Path, s3_credentials: S3Credentials
) -> None:
    settings = api_settings(tmp_path, s3_credentials, "redis://127.0.0.1:1/0")
    with running_api(settings) as api:
        api.report(engine := FakeEngine())
        with api.client(api.new_tenant()) as http:
            file = http.post(
                "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("rows", b"{}")}
            ).json()
            body = {"model": engine.bases[0].name, "training_file": file["id"]}

            job = http.post("/v1/fine_tuning/jobs", json=body)
            cancelled = http.post(f"/v1/fine_tuning/jobs/{job.json()['id']}/cancel")

    assert (job.status_code, cancelled.status_code) == (200, 200)


def test_a_created_job_rings_the_bell(fresh_api: RunningApi, settings: Settings) -> None:
    fresh_api.report(engine := FakeEngine())
    with fresh_api.client(fresh_api.new_tenant()) as http:
        file = http.post(
            "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("rows", b"{}")}
        ).json()
        body = {"model": engine.bases[0].name, "training_file": file["id"]}
        job = http.post("/v1/fine_tuning/jobs", json=body).json()
    short = Queue("short", connection=connect_redis(settings))

    poll_until(lambda: f"{job['id']}-a0" in short.job_ids, "the ring is in the short queue")
