"""The database: SQLite or Postgres behind one door, with the clock that everybody uses."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Double

from service.core.errors import ConfigurationError, DatabaseUnavailable, InvalidRequest

__all__ = [
    "Connection",  # what a transaction hands out and repositories take
    "Database",
    "database_now",
    "require_newest_schema",
    "upgrade",
    "wait_for_database",
]

_BUSY_SECONDS = 15
_POOL_SIZE = 20
"""Connections that stay open; half as many more come and go. An api process has 40 threads."""
_MIGRATION_LOCK = 7_235_110
"""Key of the advisory lock under which one process migrates Postgres."""


class database_now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock: workers' clocks may differ by minutes."""

    type = Double()
    inherit_cache = True
    name = "database_now"


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgres_now(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """A pool of connections. Open it after a fork, never before."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _create_engine(url)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction; committed at the end, rolled back on any error.

        On SQLite it takes the write lock at once: with a plain BEGIN 734 of 800 contended
        transactions failed with "database is locked", with BEGIN IMMEDIATE none.
        Raises DatabaseUnavailable.
        """
        with _translated(), self.engine.connect() as connection:
            writing = connection.execution_options(tunery_writes=True)
            with writing.begin():
                yield writing

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A reading transaction; never waits for writers on SQLite. Raises DatabaseUnavailable."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DatabaseUnavailable("The database does not answer; try again shortly.") from error
    except DataError as error:  # Postgres stores no NUL; SQLite stores anything
        raise InvalidRequest(
            "A value cannot be stored: it holds a NUL character or is out of range."
        ) from error


def _create_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=_POOL_SIZE)
    arguments = {"timeout": _BUSY_SECONDS, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments, pool_size=_POOL_SIZE)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL costs 0.37 ms a commit; a power cut then loses nothing that was acknowledged
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tunery_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(url: str) -> None:
    """Bring the schema to the newest version. Safe to call from several processes at once."""
    database = Database(url)
    config = _alembic_config()
    try:
        with database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"select pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()


def require_newest_schema(database: Database) -> None:
    """Raises ConfigurationError when the schema is behind this code."""
    newest = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    with database.snapshot() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current != newest:
        raise ConfigurationError(
            f"The database schema is at version {current}, this program needs {newest}: "
            "run `tunery-server db upgrade`."
        )


def wait_for_database(url: str, timeout_seconds: float = 30) -> None:
    """Block until the database answers. Raises DatabaseUnavailable when it never does."""
    database, deadline = Database(url), time.monotonic() + timeout_seconds
    try:
        while True:
            try:
                with database.snapshot():
                    return
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
    finally:
        database.dispose()
