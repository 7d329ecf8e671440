"""The database as one file: SQLite's online backup, Postgres's own programs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from service.core.database import Connection, Database
from service.core.errors import ConfigurationError, ServiceError
from service.core.settings import inherited_environment


class DatabaseCopyFailed(ServiceError):
    """`pg_dump` or `pg_restore` has failed."""

    code = "database_copy_failed"


def kind_of(database: Database) -> str:
    return database.engine.dialect.name


@contextmanager
def copied(database: Database, target: Path, programs: Path | None) -> Iterator[Connection]:
    """Write the database into a file and give a connection that sees exactly what is in it.
    `programs`: the folder of Postgres's own; None looks for them on the PATH.

    Raises ConfigurationError where Postgres's programs are missing, DatabaseCopyFailed.
    """
    if kind_of(database) == "sqlite":
        _copy_sqlite(Path(database.engine.url.database or ""), target)
        copy = Database(f"sqlite:///{target}")
        try:
            with copy.snapshot() as connection:
                yield connection
        finally:
            copy.dispose()
            _fold(target)
        return
    with database.snapshot() as connection:
        connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
        snapshot = connection.exec_driver_sql("select pg_export_snapshot()").scalar_one()
        options = ("--format=custom", f"--snapshot={snapshot}", f"--file={target}")
        _run_postgres(database, programs, "pg_dump", *options)
        yield connection


def put_back(database: Database, source: Path, programs: Path | None) -> None:
    """Into a database without any table. Raises ConfigurationError, DatabaseCopyFailed."""
    if kind_of(database) == "sqlite":
        _copy_sqlite(source, Path(database.engine.url.database or ""))
        return
    options = ("--no-owner", "--single-transaction", "--exit-on-error", str(source))
    _run_postgres(database, programs, "pg_restore", *options)


def is_empty(database: Database) -> bool:
    if kind_of(database) == "sqlite":
        path = Path(database.engine.url.database or "")
        return not path.exists() or path.stat().st_size == 0
    with database.snapshot() as connection:
        found = connection.exec_driver_sql(
            "select count(*) from pg_tables where schemaname = current_schema()"
        )
        return not found.scalar_one()


def _copy_sqlite(source: Path, target: Path) -> None:
    """A reader among others: writers go on meanwhile, and the copy is of one moment."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        os.chmod(target, 0o600)
        read.backup(written)


def _fold(target: Path) -> None:
    """What was in a log beside the file goes into it."""
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")


def _run_postgres(database: Database, programs: Path | None, program: str, *options: str) -> None:
    found = shutil.which(program, path=programs)
    if found is None:
        raise ConfigurationError(
            f"{program} is not there: install PostgreSQL's client programs, of the server's "
            "version or newer, or set TUNERY_POSTGRES_PROGRAMS to their folder."
        )
    url = database.engine.url
    named = {"PGHOST": url.host, "PGUSER": url.username, "PGPASSWORD": url.password}
    environment = {
        **inherited_environment(),
        **{name: value for name, value in named.items() if value},
    }
    environment["PGPORT"] = str(url.port or 5432)
    done = subprocess.run(
        [found, f"--dbname={url.database}", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DatabaseCopyFailed(f"{found} failed: {done.stderr.strip()[-500:]}")
