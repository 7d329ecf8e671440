"""`up` says in one line what keeps it from starting."""

import socket
from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.supervisor.files import exclusive
from service.supervisor.main import run


def refused(match: str, **given: object) -> None:
    with pytest.raises(ConfigurationError, match=match) as failure:
        run(Settings.model_validate(given))
    assert "\n" not in failure.value.message


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused(f"Port {port} on 127.0.0.1 is taken.*--port", data_dir=tmp_path, api_port=port)


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    refused("192.0.2.1 is not an address.*--host", data_dir=tmp_path, api_host="192.0.2.1")


def test_a_data_dir_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refused(r"file cannot be written.*--data-dir", data_dir=tmp_path / "file")


def test_a_second_up_on_one_data_dir_is_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        refused(r"Another `tunery-server up`.*--data-dir", data_dir=tmp_path, api_port=0)


def test_an_engine_of_ones_own_needs_its_token(tmp_path: Path) -> None:
    engine = {"engine_url": "http://127.0.0.1:1"}

    refused("TUNERY_INTERNAL_TOKEN", data_dir=tmp_path, api_port=0, **engine)
