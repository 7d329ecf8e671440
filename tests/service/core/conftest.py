"""Databases for the kernel's tests: always SQLite, and Postgres from a wheel."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.database import Database, upgrade
from service.core.domain.access import Scope
from service.core.repositories.access import AccessRepository


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'tunery.db'}"
    upgrade(url)
    opened = Database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def scope(database: Database) -> Scope:
    with database.transaction() as connection:
        return AccessRepository(connection).ensure_default_project("acme")
