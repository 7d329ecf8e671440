"""Databases for the kernel's tests: SQLite, and Postgres from a wheel."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.database import Database, upgrade
from service.core.domain.access import Scope
from service.core.repositories.access import AccessRepository


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a database without a schema, of either kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tunery.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    """With the newest schema."""
    upgrade(empty_url)
    opened = Database(empty_url)
    yield opened
    opened.dispose()


@pytest.fixture
def scope(database: Database) -> Scope:
    with database.transaction() as connection:
        return AccessRepository(connection).ensure_default_project("acme")
