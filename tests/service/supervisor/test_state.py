"""Secrets and ports are made once and kept."""

import socket
import stat
from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.supervisor.ports import GRPC_OFFSET, is_free
from service.supervisor.state import PORT_NAMES, load_or_create_state, load_state


def test_a_second_start_finds_the_same_secrets_and_ports(tmp_path: Path) -> None:
    assert load_or_create_state(tmp_path) == load_or_create_state(tmp_path)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    load_or_create_state(tmp_path)

    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_no_secret_shows_in_the_representation(tmp_path: Path) -> None:
    state = load_or_create_state(tmp_path)

    assert not any(
        secret in repr(state)
        for secret in (state.api_key, state.key_pepper, state.redis_password, state.s3_signing_key)
    )


@pytest.mark.parametrize("offset", [0, GRPC_OFFSET])
def test_a_port_that_somebody_has_taken_is_replaced_and_the_others_kept(
    tmp_path: Path, offset: int
) -> None:
    before = load_or_create_state(tmp_path)
    with socket.create_server(("127.0.0.1", before.ports["s3"] + offset)):
        after = load_or_create_state(tmp_path)

    changed = {name for name in PORT_NAMES if after.ports[name] != before.ports[name]}
    assert changed == {"s3"}
    assert len(set(after.ports.values())) == len(PORT_NAMES)
    assert after.api_key == before.api_key


def test_a_damaged_file_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"api_key":')

    with pytest.raises(ConfigurationError, match=r"state\.json is damaged"):
        load_or_create_state(tmp_path)
    assert (tmp_path / "state.json").read_text() == '{"api_key":'


def test_where_up_has_never_run_there_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_free(listener.getsockname()[1])
