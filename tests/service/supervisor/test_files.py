"""Private files, and one `up` a data directory."""

import os
import stat
from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.supervisor.files import exclusive, is_held, prepare_folder, write_private
from service.supervisor.logs import cut_when_large, last_lines


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "first")
    write_private(tmp_path / "secret", "second")

    assert (tmp_path / "secret").read_text() == "second"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_second_holder_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()}.*--data-dir"),
        exclusive(tmp_path),
    ):
        pass


def test_a_directory_is_held_until_its_holder_lets_go(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with exclusive(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"file/below cannot be written.*--data-dir"):
        prepare_folder(tmp_path / "file" / "below")


def test_a_log_that_has_grown_large_is_cut_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        print("before", file=writer, flush=True)
        cut_when_large(log, max_bytes=1)
        print("after", file=writer, flush=True)

    assert log.read_text() == "after\n"
    assert (tmp_path / "a.log.1").read_text() == "before\n"


def test_the_end_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log") == []
