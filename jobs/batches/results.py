"""Answers of a batch: stored block by block, at the end one file of each kind."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from jobs.batches.sending import Answered
from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from service.core.domain.batches import Batch
from service.core.domain.files import FilePurpose
from service.core.ids import new_file_id
from service.core.object_keys import batch_block_key, file_key
from service.core.repositories.batches import BatchRepository
from service.core.repositories.files import FileRepository
from service.core.storage import ObjectStore, StoredObject


def store_block(attempt: Attempt, batch: Batch, number: int, answers: Sequence[Answered]) -> None:
    """The object first, then its row with the counts. Raises StaleEpoch."""
    key = batch_block_key(batch.project_id, batch.id, attempt.claim.epoch, number)
    content = b"".join(
        json.dumps([answer.is_success, answer.line]).encode() + b"\n" for answer in answers
    )
    patiently(attempt.control, partial(attempt.resources.store.put_bytes, key, content))
    completed = sum(answer.is_success for answer in answers)

    def commit() -> None:
        with attempt.writing() as connection:
            BatchRepository(connection, attempt.scope).add_block(
                batch.id, key, completed=completed, failed=len(answers) - completed
            )

    patiently(attempt.control, commit)


@dataclass(frozen=True)
class ResultFile:
    """A stored file that has no row yet."""

    file_id: str
    filename: str
    stored: StoredObject

    def add_row(self, files: FileRepository, seconds: int | None) -> None:
        files.add(
            self.file_id,
            filename=self.filename,
            purpose=FilePurpose.BATCH_OUTPUT,
            bytes=self.stored.bytes,
            sha256=self.stored.sha256,
            key=self.stored.key,
            seconds=seconds,
        )


def join_blocks(
    attempt: Attempt, batch: Batch, blocks: Sequence[str], *, successes: bool
) -> ResultFile | None:
    """The answers of one kind as a file, streamed; None if there are none."""
    if not (batch.completed if successes else batch.failed):
        return None
    file_id, store = new_file_id(), attempt.resources.store
    kind = "output" if successes else "error"

    def put() -> StoredObject:
        source = _LineSource(_lines(store, blocks, successes=successes))
        return store.put_stream(file_key(batch.project_id, file_id), cast(IO[bytes], source))

    return ResultFile(file_id, f"{batch.id}_{kind}.jsonl", patiently(attempt.control, put))


def _lines(store: ObjectStore, blocks: Sequence[str], *, successes: bool) -> Iterator[bytes]:
    for key in blocks:
        for stored in io.BytesIO(store.get_bytes(key)):
            is_success, line = json.loads(stored)
            if is_success == successes:
                yield json.dumps(line).encode() + b"\n"


class _LineSource:
    """Lines as a reader."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._held = bytearray()

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        while len(self._held) < size:
            line = next(self._lines, None)
            if line is None:
                break
            self._held += line
        given = bytes(self._held[:size])
        del self._held[:size]
        return given
