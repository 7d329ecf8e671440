"""A restoration goes where there is a backup, and over nothing that is somebody's."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from service.cli.backup_jobs import put_back
from service.core.backups.place import BackupShelf, FolderPlace
from service.core.backups.record import BackupRecord, KeptObject
from service.core.errors import ConfigurationError, NotFound
from service.supervisor.state import State, load_or_create_state, load_state


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNERY_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_a_place_without_backups_is_named(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no backup in"):
        put_back(str(tmp_path / "backups"), None)

    assert list(data_dir.iterdir()) == []


def test_another_installations_directory_is_left_as_it_is(data_dir: Path, tmp_path: Path) -> None:
    load_or_create_state(data_dir)
    before = load_state(data_dir)
    shelf = BackupShelf(FolderPlace(tmp_path / "backups"))
    theirs = tmp_path / "state.json"
    theirs.write_text(json.dumps(asdict(State())))
    nothing = KeptObject("0" * 64, 0)
    shelf.finish(BackupRecord("now", 0.0, "sqlite", nothing, shelf.keep(theirs), {}, ()))

    with pytest.raises(ConfigurationError, match="another installation"):
        put_back(str(tmp_path / "backups"), None)

    assert load_state(data_dir) == before
