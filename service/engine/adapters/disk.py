"""Adapters on the local disk: a cache that may be wrong, full or emptied at any moment.

One folder a digest, written beside and renamed into place. Several engines may share it.
"""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from service.core.errors import AdapterCorrupt
from service.core.manifest import ManifestFile
from service.engine.adapters.files import DeltaFiles, read_verified

logger = logging.getLogger(__name__)

_UNFINISHED = "."
"""First letter of folders that are being written."""
_ABANDONED_SECONDS = 3600
"""A folder unfinished for this long belonged to a process that was killed."""


class AdapterDisk:
    """At most `max_bytes`; the folders longest unread leave first. Thread-safe."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._trimming = threading.Lock()

    def read(self, digest: str) -> DeltaFiles | None:
        """The delta, verified, or None. A damaged copy is thrown away."""
        folder = self._folder / digest

        def read(name: str, limit: int, shared: ManifestFile | None = None) -> bytes:
            place = folder if shared is None else self._shared(shared)
            content = _read(place / name, limit)
            if shared is not None and hashlib.sha256(content).hexdigest() != shared.sha256:
                shutil.rmtree(place, ignore_errors=True)
            else:
                os.utime(place)  # its place in the order of leaving
            return content

        try:
            files = read_verified(digest, read)
        except FileNotFoundError:
            return None
        except (AdapterCorrupt, OSError) as error:
            logger.warning("the disk copy of adapter %s is damaged (%s); fetching", digest, error)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return files

    def write(self, digest: str, files: DeltaFiles) -> None:
        """Keep a copy if possible: a full disk makes later loads slower and is no failure."""
        try:
            for file, content in files.shared().items():
                if not self._shared(file).is_dir():
                    self._put(self._shared(file), {file.name: content})
            self._put(self._folder / digest, files.own())
            self._trim()
        except OSError as error:
            logger.warning("adapter %s is not kept on the disk: %s", digest, error)

    def _shared(self, file: ManifestFile) -> Path:
        """A file of several deltas has a folder of its own, so that it is kept once."""
        return self._folder / file.sha256

    def _put(self, folder: Path, contents: Mapping[str, bytes]) -> None:
        if sum(map(len, contents.values())) > self._max_bytes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        try:
            for name, content in contents.items():
                (beside / name).write_bytes(content)
            self._move_into_place(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _move_into_place(self, beside: Path, folder: Path) -> None:
        try:
            os.rename(beside, folder)
        except OSError:
            # Another engine was quicker with the same bytes, or this is half a folder.
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(beside, folder)

    def _trim(self) -> None:
        with self._trimming:
            kept = 0
            for folder in sorted(self._folder.iterdir(), key=_last_use, reverse=True):
                if folder.name.startswith(_UNFINISHED):
                    _remove_if_abandoned(folder)
                    continue
                kept += _size(folder)
                if kept > self._max_bytes:
                    shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)


def _last_use(folder: Path) -> float:
    """A folder that another engine just removed counts as the oldest."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove_if_abandoned(folder: Path) -> None:
    if time.time() - _last_use(folder) > _ABANDONED_SECONDS:
        shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """0 for one that another engine just removed."""
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0
