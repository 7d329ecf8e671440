"""What `up` makes once and keeps: secrets and the ports of its parts, in `state.json`."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from service.core.errors import ConfigurationError
from service.core.security import new_api_key
from service.supervisor.files import write_private
from service.supervisor.ports import free_port_pairs, is_free_pair

PORT_NAMES = ("api", "engine", "redis", "s3", "s3_master", "s3_volume", "s3_filer")
STATE_FILE = "state.json"


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _encryption_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class State:
    """Secrets are safe inside URLs and configuration files."""

    api_key: str = field(default_factory=new_api_key, repr=False)
    key_pepper: str = field(default_factory=_secret, repr=False)
    encryption_key: str = field(default_factory=_encryption_key, repr=False)
    """Users' secrets in the database can be read with this alone."""
    internal_token: str = field(default_factory=_secret, repr=False)
    redis_password: str = field(default_factory=_secret, repr=False)
    s3_access_key_id: str = field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_access_key: str = field(default_factory=_secret, repr=False)
    s3_signing_key: str = field(default_factory=_secret, repr=False)
    """Signs the tickets without which SeaweedFS's volume server refuses reads and writes."""
    worker_name: str = field(default_factory=lambda: f"worker-{secrets.token_hex(4)}")
    """Stays the same over restarts: a worker releases the leases of its former self."""
    ports: dict[str, int] = field(default_factory=dict)
    """By the names of `PORT_NAMES`; of each p, p + 10,000 is ours too."""


def load_state(data_dir: Path) -> State | None:
    """None when `up` has never run here. Raises ConfigurationError for a damaged file."""
    path = data_dir / STATE_FILE
    try:
        return State(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"{path} is damaged; the keys in it cannot be made again: restore it from a backup, "
            "or choose another directory with --data-dir."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from None


def load_or_create_state(data_dir: Path) -> State:
    """The kept state, with ports that are free this moment."""
    state = load_state(data_dir) or State()
    state = replace(state, ports=_usable_ports(state.ports))
    write_private(data_dir / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")
    return state


def _usable_ports(kept: dict[str, int]) -> dict[str, int]:
    """Those kept where they are free, others where somebody has taken them meanwhile."""
    _wait_until(lambda: all(map(is_free_pair, kept.values())), timeout_seconds=2)
    usable = {name: port for name, port in kept.items() if is_free_pair(port)}
    missing = [name for name in PORT_NAMES if name not in usable]
    return usable | dict(zip(missing, _new_ports(len(missing), usable), strict=True))


def _new_ports(number: int, used: dict[str, int]) -> list[int]:
    fresh = [p for p in free_port_pairs(number + len(used)) if p not in used.values()]
    return fresh[:number]


def _wait_until(condition: Callable[[], bool], *, timeout_seconds: float) -> None:
    """Children of a killed `up` die a moment after it."""
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
