"""Servers shared by a whole run; tests keep apart by key prefix, database or queue name."""

from collections.abc import Iterator

import pytest

from service.core.storage import ObjectStore
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.seaweedfs import S3Credentials, running_seaweedfs
from tests.servers.valkey import running_valkey


@pytest.fixture(scope="session")
def s3_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Credentials]:
    """A real S3 with an empty bucket."""
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as credentials:
        yield credentials


@pytest.fixture(scope="session")
def object_store(s3_credentials: S3Credentials) -> ObjectStore:
    return s3_credentials.object_store()


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey; flush it where a test needs it empty."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty database on a real Postgres, the test's own."""
    return postgres_server.create_database()
