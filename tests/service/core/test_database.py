"""The door to SQLite and Postgres: one clock, whole transactions, waiting instead of failing."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update

from service.core.database import Database, database_now, wait_for_database
from service.core.errors import DatabaseUnavailable
from tests.servers.ports import free_port

counters = Table("counters", MetaData(), Column("value", Integer))


def count(database: Database) -> int:
    with database.snapshot() as connection:
        return int(connection.execute(select(counters.c.value)).scalar_one())


@pytest.fixture
def counted(database: Database) -> Database:
    """With a counter at 0."""
    with database.transaction() as connection:
        counters.create(connection)
        connection.execute(insert(counters).values(value=0))
    return database


def test_the_databases_clock_tells_seconds_since_1970_and_goes_on(database: Database) -> None:
    def now() -> float:
        with database.snapshot() as connection:
            return float(connection.execute(select(database_now())).scalar_one())

    first = now()
    time.sleep(0.01)

    assert first < now()
    assert abs(first - time.time()) < 60


def test_an_error_undoes_the_whole_transaction(counted: Database) -> None:
    with pytest.raises(RuntimeError), counted.transaction() as connection:  # noqa: PT012
        connection.execute(update(counters).values(value=7))
        raise RuntimeError

    assert count(counted) == 0


def test_a_reader_sees_the_last_commit_and_does_not_wait_for_a_writer(counted: Database) -> None:
    with counted.transaction() as connection:
        connection.execute(update(counters).values(value=1))

        assert count(counted) == 0

    assert count(counted) == 1


def test_contending_sqlite_writers_wait_for_their_turn(tmp_path: Path) -> None:
    """Each reads before it writes, which a lock taken late would end with "database is locked"."""
    database = Database(f"sqlite:///{tmp_path / 'contended.db'}")
    with database.transaction() as connection:
        counters.create(connection)
        connection.execute(insert(counters).values(value=0))

    def add_twenty() -> None:
        for _ in range(20):
            with database.transaction() as connection:
                value = connection.execute(select(counters.c.value)).scalar_one()
                connection.execute(update(counters).values(value=value + 1))

    writers = [threading.Thread(target=add_twenty) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert count(database) == 8 * 20
    database.dispose()


def test_sqlite_keeps_what_it_acknowledged_and_its_references(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'durable.db'}")

    with database.snapshot() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_that_is_away_is_said_to_be(kind: str, tmp_path: Path) -> None:
    url = {
        "sqlite": f"sqlite:///{tmp_path / 'missing' / 'tunery.db'}",
        "postgres": f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none",
    }[kind]
    database = Database(url)

    with pytest.raises(DatabaseUnavailable), database.transaction():
        pass
    with pytest.raises(DatabaseUnavailable), database.snapshot():
        pass
    with pytest.raises(DatabaseUnavailable):
        wait_for_database(url, timeout_seconds=0)
    database.dispose()


def test_waiting_ends_when_the_database_answers(empty_url: str) -> None:
    wait_for_database(empty_url, timeout_seconds=0)
