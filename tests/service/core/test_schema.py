"""The migrations make exactly the schema that the code declares, on both databases."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from service.core.database import Database, require_newest_schema, upgrade
from service.core.errors import ConfigurationError
from service.core.tables import OPERATOR_TABLES, metadata


def test_the_migrated_schema_equals_the_declared_one(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)  # a second start changes nothing

    database = Database(empty_url)
    with database.transaction() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    database.dispose()

    assert differences == []


def test_processes_that_migrate_at_once_do_not_disturb_each_other(empty_url: str) -> None:
    program = "import sys; from service.core.database import upgrade; upgrade(sys.argv[1])"
    command = [sys.executable, "-c", program, empty_url]

    migrating = [subprocess.Popen(command) for _ in range(3)]

    assert [process.wait() for process in migrating] == [0, 0, 0]
    database = Database(empty_url)
    require_newest_schema(database)
    database.dispose()


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
