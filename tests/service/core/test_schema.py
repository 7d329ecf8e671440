"""The migrations make exactly the schema that the code declares, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from service.core.database import Database, require_newest_schema, upgrade
from service.core.errors import ConfigurationError
from service.core.tables import OPERATOR_TABLES, metadata


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        yield request.getfixturevalue("postgres_url")


def test_the_migrated_schema_equals_the_declared_one(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)  # a second start changes nothing

    database = Database(empty_url)
    with database.transaction() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    database.dispose()

    assert differences == []


def test_a_process_refuses_to_start_behind_the_newest_schema(empty_url: str) -> None:
    database = Database(empty_url)
    with pytest.raises(ConfigurationError, match="tunery-server db upgrade"):
        require_newest_schema(database)

    upgrade(empty_url)

    require_newest_schema(database)
    database.dispose()


def test_every_table_of_tenants_rows_has_a_project() -> None:
    for table in metadata.sorted_tables:
        if table.name not in OPERATOR_TABLES:
            assert "project_id" in table.c, table.name
            assert not table.c.project_id.nullable, table.name
