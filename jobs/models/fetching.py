"""An adapter's two files, from what was uploaded to where the model will lie."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, cast

from jobs.models.archives import unpack
from jobs.models.streams import ChunkReader, WholeReads
from jobs.runner.attempt import Attempt
from service.core.adapters import (
    CONFIG_NAME,
    MAX_CONFIG_BYTES,
    MAX_WEIGHTS_BYTES,
    WEIGHTS_NAME,
    LinearShapes,
)
from service.core.domain.files import File
from service.core.errors import FileNotFound, InvalidAdapter
from service.core.repositories.files import FileRepository
from service.core.storage import ObjectNotFound, StoredObject, StoredObjectSource

_WANTED = (CONFIG_NAME, WEIGHTS_NAME)
_MAX_RANK = 1024
_HEADER_ROOM = 16 * 1024**2
_BESIDE = 4
"""Times the largest adapter: an archive may hold its optimizer, a tokenizer, plots."""


def largest_weights(shapes: LinearShapes) -> int:
    """Bytes of an adapter of the highest rank on every layer, fp32."""
    elements = sum(_MAX_RANK * (rows + columns) for rows, columns in shapes.values())
    return min(4 * elements + _HEADER_ROOM, MAX_WEIGHTS_BYTES)


@dataclass
class Fetching:
    """Copies into `prefix`, which ends in `/`."""

    attempt: Attempt
    prefix: str
    shapes: LinearShapes
    stored: dict[str, StoredObject] = field(default_factory=dict)

    def fetch(self, request: Mapping[str, Any]) -> Mapping[str, StoredObject]:
        """By name. Raises InvalidAdapter for a file that is missing, gone or too large."""
        try:
            if request.get("file_id"):
                self._fetch_archive(self._file(request["file_id"]))
            for name, file_id in (request.get("files") or {}).items():
                stored = self.attempt.resources.store.iterate(self._file(file_id).key)
                with closing(cast(Any, stored)) as chunks:
                    self._put(name, cast(IO[bytes], WholeReads(ChunkReader(chunks))))
        except ObjectNotFound as error:
            raise InvalidAdapter("The uploaded file is gone; upload it again.") from error
        missing = [name for name in _WANTED if name not in self.stored]
        if missing:
            raise InvalidAdapter(
                f"{missing[0]} is missing; an adapter is {' and '.join(_WANTED)}, in one folder."
                " Pickled weights (.bin) are never loaded: save it again with safetensors."
            )
        return self.stored

    def _fetch_archive(self, file: File) -> None:
        source = StoredObjectSource(self.attempt.resources.store, file.key, file.bytes)
        limit = _BESIDE * largest_weights(self.shapes) + _HEADER_ROOM
        unpack(source, _WANTED, self._put, limit=limit)

    def _put(self, name: str, content: IO[bytes]) -> None:
        limit = MAX_CONFIG_BYTES if name == CONFIG_NAME else largest_weights(self.shapes)
        self.stored[name] = self.attempt.resources.store.put_stream(
            self.prefix + name, content, check_size=partial(self._check_size, name, limit)
        )

    def _check_size(self, name: str, limit: int, size: int) -> None:
        self.attempt.control.check()
        if size > limit:
            raise InvalidAdapter(f"{name} has more than {limit} bytes, which this base never needs")

    def _file(self, file_id: str) -> File:
        try:
            with self.attempt.reading() as connection:
                return FileRepository(connection, self.attempt.scope).get_in_use(file_id)
        except FileNotFound:
            raise InvalidAdapter(f"File {file_id} no longer exists; upload it again.") from None
