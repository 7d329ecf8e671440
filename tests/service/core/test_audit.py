"""The audit log is a chain: what is changed, inserted or removed in it is found, by name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, insert, select, text, update

import service.core.migrations
from service.core.database import Database, upgrade
from service.core.domain.access import Principal, Scope
from service.core.domain.audit import BrokenChain, first_break
from service.core.repositories.access import AccessRepository
from service.core.repositories.audit import ChainRepository, record
from service.core.tables import audit, projects

ENTRIES = 5


@pytest.fixture
def connection(database: Database, scope: Scope) -> Iterator[Connection]:
    """With a chain of some entries, in a transaction that ends with the test."""
    with database.transaction() as connection:
        for number in range(1, ENTRIES + 1):
            principal = Principal(scope, "key_é")
            record(connection, principal, "x.done", f"x_{number}", details={"n": [number, None]})
        yield connection


def broken(connection: Connection, scope: Scope) -> BrokenChain | None:
    chains = ChainRepository(connection)
    return first_break(chains.entries(scope.project_id), chains.heads()[scope.project_id])


def id_of(connection: Connection, number: int) -> str:
    return str(connection.scalar(select(audit.c.id).where(audit.c.number == number)))


def test_what_was_only_appended_holds(connection: Connection, scope: Scope) -> None:
    assert broken(connection, scope) is None
    assert ChainRepository(connection).heads()[scope.project_id].entries == ENTRIES


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "key_2"},
        {"action": "y.done"},
        {"subject_id": "y"},
        {"details": {"n": [3, 0]}},
        {"created_at": 1.5},
        {"hash": "0" * 64},
        {"previous_hash": "0" * 64},
        {"number": 17},
        {"id": "audit_log-other"},
    ],
)
def test_a_changed_entry_is_the_first_that_is_named(
    connection: Connection, scope: Scope, change: dict[str, object]
) -> None:
    third = id_of(connection, 3)
    connection.execute(update(audit).where(audit.c.id == third).values(**change))

    found = broken(connection, scope)

    assert found is not None
    assert found.number == 3
    named = id_of(connection, 4) if "number" in change else change.get("id", third)
    assert found.entry_id == named


@pytest.mark.parametrize("number", range(1, ENTRIES + 1))
def test_a_removed_entry_is_missed(connection: Connection, scope: Scope, number: int) -> None:
    after = id_of(connection, number + 1) if number < ENTRIES else None
    connection.execute(delete(audit).where(audit.c.number == number))

    found = broken(connection, scope)

    assert found is not None
    assert (found.number, found.entry_id) == (number, after)


def test_an_entry_put_in_is_found(connection: Connection, scope: Scope) -> None:
    row = dict(connection.execute(select(audit).where(audit.c.number == 5)).mappings().one())
    forged = {**row, "id": "audit_log-forged", "number": 6, "previous_hash": row["hash"]}
    connection.execute(insert(audit).values(**forged))

    found = broken(connection, scope)

    assert found is not None
    assert (found.number, found.entry_id) == (6, "audit_log-forged")


def test_a_head_that_names_another_end_is_found(connection: Connection, scope: Scope) -> None:
    connection.execute(update(projects).values(audit_head="0" * 64))

    found = broken(connection, scope)

    assert found is not None
    assert found.entry_id is None


def test_changes_at_once_make_one_chain(database: Database, scope: Scope) -> None:
    def change(number: int) -> None:
        with database.transaction() as connection:
            record(connection, Principal(scope, "key_1"), "x.done", str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(20)))

    with database.snapshot() as connection:
        assert broken(connection, scope) is None
        assert ChainRepository(connection).heads()[scope.project_id].entries == 20


def test_what_is_rolled_back_leaves_no_gap(database: Database, scope: Scope) -> None:
    def change(*, fails: bool) -> None:
        with database.transaction() as connection:
            record(connection, Principal(scope, "key_1"), "x.done", "x")
            assert not fails

    change(fails=False)
    with pytest.raises(AssertionError):
        change(fails=True)
    change(fails=False)

    with database.snapshot() as connection:
        assert broken(connection, scope) is None
        assert ChainRepository(connection).heads()[scope.project_id].entries == 2


def test_what_was_logged_before_there_were_chains_is_chained(empty_url: str) -> None:
    database = Database(empty_url)
    config = Config()
    config.set_main_option(
        "script_location", str(Path(service.core.migrations.__file__ or "").parent)
    )
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        connection.execute(text("INSERT INTO organizations VALUES ('org-1', 'a', 1.0)"))
        for project in ("proj_1", "proj_2"):
            connection.execute(
                text(
                    "INSERT INTO projects (id, organization_id, name, created_at)"
                    f" VALUES ('{project}', 'org-1', '{project}', 1.0)"
                )
            )
            for number in (2, 1):
                connection.execute(
                    text(
                        "INSERT INTO audit (id, project_id, actor, action, subject_id, created_at)"
                        f" VALUES ('{project}{number}', '{project}', 'key_é', 'a', 'b', {number}.1)"
                    )
                )

    upgrade(empty_url)

    with database.transaction() as connection:
        for project in ("proj_1", "proj_2"):
            scope = AccessRepository(connection).scope_of_project(project)
            assert broken(connection, scope) is None
            record(connection, Principal(scope, "key_1"), "a", "b")
            assert broken(connection, scope) is None
            assert ChainRepository(connection).heads()[project].entries == 3
    database.dispose()
