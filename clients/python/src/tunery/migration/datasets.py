"""Data sets of the source on this disk, each under its old id and name."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tunery._exceptions import BadRequestError, NotFoundError, PermissionDeniedError
from tunery._types import File
from tunery.migration.downloads import download
from tunery.migration.source import Source

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS = 120


class DatasetMissing(Exception):
    """A file of the source that cannot be had; the message says why, and what helps."""


class Datasets:
    """Downloads what is asked for; what is gone at the source may be given from this disk."""

    def __init__(self, source: Source, folder: Path, given: Mapping[str, Path]) -> None:
        self._source = source
        self._folder = folder
        self._given = given
        self.listed = {file.id: file for file in source.datasets()}
        """What the source has, oldest first."""

    def check(self, file_id: str) -> None:
        """Raises DatasetMissing."""
        if file_id not in self._given and file_id not in self.listed:
            raise DatasetMissing(
                f"{file_id} no longer exists at the source; give a copy with --file {file_id}=PATH"
            )

    def path(self, file_id: str) -> Path:
        """Where it lies, or will."""
        listed = self.listed.get(file_id)
        given = self._given.get(file_id)
        filename = given.name if given else listed.filename if listed else "rows.jsonl"
        return self._folder / f"{_safe(file_id)}.{_safe(filename)[-_NAME_CHARACTERS:]}"

    def size(self, file_id: str) -> int:
        """In bytes."""
        given = self._given.get(file_id)
        return self.listed[file_id].bytes if given is None else given.stat().st_size

    def fetch(self, file_id: str) -> Path:
        """The file, whole. Raises DatasetMissing, APIError."""
        self.check(file_id)
        path = self.path(file_id)
        if path.exists():
            return path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file_id in self._given:
            _copy(self._given[file_id], path)
        else:
            self._download(self.listed[file_id], path)
        return path

    def _download(self, file: File, path: Path) -> None:
        try:
            download(self._source, file.id, path, size=file.bytes)
        except (BadRequestError, NotFoundError, PermissionDeniedError) as refusal:
            raise DatasetMissing(
                f"{file.id} cannot be downloaded: {refusal.message} Give a copy with "
                f"--file {file.id}=PATH"
            ) from None


def _copy(given: Path, path: Path) -> None:
    beside = path.with_name(f"{path.name}.part")
    shutil.copyfile(given, beside)
    beside.replace(path)


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name)
