"""A shop on SQLite, real S3 and real Valkey, with a fake engine served over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs.runner.codecs import Codecs
from jobs.runner.resources import Resources, WorkerProcess
from service.core.database import Database, upgrade
from service.core.repositories.access import AccessRepository
from service.core.settings import Settings
from service.core.storage import ObjectStore
from tests.fakes.engine import FakeEngine
from tests.fakes.receiver import ENCRYPTION_KEY
from tests.fakes.serving import INTERNAL_TOKEN, served_fake
from tests.jobs.shop import Shop, publish_base_text, reporting
from tests.servers.seaweedfs import S3Credentials


@pytest.fixture
def settings(tmp_path: Path, valkey_url: str, s3_credentials: S3Credentials) -> Settings:
    """Of every process in the test; Valkey is empty."""
    with Redis.from_url(valkey_url) as redis:
        redis.flushall()
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "cache_dir": tmp_path / "cache",
            "database_url": f"sqlite:///{tmp_path / 'tunery.db'}",
            "redis_url": valkey_url,
            "internal_token": INTERNAL_TOKEN,
            "encryption_keys": ENCRYPTION_KEY,
            "webhook_allow_private": True,
            "training_slots": 1,
            "short_slots": 1,
            "lease_seconds": 6,
            "reconcile_seconds": 0.1,
            "drain_seconds": 20,
            **s3_credentials.as_settings(),
        }
    )


@pytest.fixture
def resources(settings: Settings, object_store: ObjectStore) -> Iterator[Resources]:
    upgrade(settings.database_url)
    with WorkerProcess(
        settings, object_store, Codecs(object_store, settings.cache_dir), worker="test-train-0"
    ).open() as opened:
        yield opened


@pytest.fixture
def shop(resources: Resources, tmp_path: Path) -> Shop:
    publish_base_text(resources, tmp_path / "tokenizer")
    with resources.database.transaction() as connection:
        scope = AccessRepository(connection).ensure_default_project("acme")
    return Shop(resources, scope)


@pytest.fixture
def database(resources: Resources) -> Database:
    return resources.database


@pytest.fixture
def engine(shop: Shop, object_store: ObjectStore) -> Iterator[FakeEngine]:
    """Runs, answers over HTTP and reports itself."""
    fake = FakeEngine(store=object_store)
    with served_fake(fake), reporting(fake, shop.database):
        yield fake
