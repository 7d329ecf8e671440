"""The disk is a cache: bounded, verified, and never a reason to fail."""

import hashlib
import os
from pathlib import Path

import pytest

from service.core.manifest import Manifest, ManifestFile
from service.engine.adapters.disk import AdapterDisk
from service.engine.adapters.files import CONFIG_NAME, WEIGHTS_NAME, DeltaFiles

_LARGE = 10**6


def _adapter(seed: int) -> tuple[str, DeltaFiles]:
    config, weights = b"{}", bytes([seed]) * 1000
    manifest = Manifest(
        kind="lora",
        base="tiny",
        base_digest="0" * 64,
        job="ftjob-test",
        step=1,
        files=tuple(
            ManifestFile(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in ((CONFIG_NAME, config), (WEIGHTS_NAME, weights))
        ),
    )
    return manifest.digest, DeltaFiles(
        manifest, manifest.to_bytes(), {CONFIG_NAME: config, WEIGHTS_NAME: weights}
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    disk = AdapterDisk(tmp_path, _LARGE)
    digest, files = _adapter(1)
    assert disk.read(digest) is None

    disk.write(digest, files)

    assert disk.read(digest) == files


def test_a_damaged_copy_is_thrown_away(tmp_path: Path) -> None:
    disk = AdapterDisk(tmp_path, _LARGE)
    digest, files = _adapter(1)
    disk.write(digest, files)
    (tmp_path / digest / WEIGHTS_NAME).write_bytes(b"\x02" * 1000)

    assert disk.read(digest) is None
    assert not (tmp_path / digest).exists()


def test_half_a_folder_is_replaced(tmp_path: Path) -> None:
    disk = AdapterDisk(tmp_path, _LARGE)
    digest, files = _adapter(1)
    disk.write(digest, files)
    (tmp_path / digest / CONFIG_NAME).unlink()
    assert disk.read(digest) is None

    disk.write(digest, files)

    assert disk.read(digest) == files


def test_the_longest_unread_leave_first(tmp_path: Path) -> None:
    adapters = [_adapter(seed) for seed in range(3)]
    size = sum(map(len, adapters[0][1].own().values()))
    disk = AdapterDisk(tmp_path, 2 * size)
    for age, (digest, files) in zip((200, 100), adapters, strict=False):
        disk.write(digest, files)
        _make_older(tmp_path / digest, age)
    disk.read(adapters[0][0])  # old, but just read

    disk.write(*adapters[2])

    assert {entry.name for entry in tmp_path.iterdir()} == {adapters[0][0], adapters[2][0]}


def test_an_adapter_over_the_bound_is_not_kept(tmp_path: Path) -> None:
    disk = AdapterDisk(tmp_path, 100)

    disk.write(*_adapter(1))

    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    disk = AdapterDisk(tmp_path, _LARGE)
    for name, age in (("killed", 4000), ("writing", 10)):
        (tmp_path / f".{name}").mkdir()
        _make_older(tmp_path / f".{name}", age)

    disk.write(*_adapter(1))

    left = {entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")}
    assert left == {".writing"}


def test_a_disk_that_cannot_be_written_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    digest, files = _adapter(1)

    AdapterDisk(file, _LARGE).write(digest, files)

    assert "not kept" in caplog.text
    assert AdapterDisk(file, _LARGE).read(digest) is None


def _make_older(folder: Path, seconds: float) -> None:
    then = folder.stat().st_mtime - seconds
    os.utime(folder, (then, then))
