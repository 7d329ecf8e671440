"""One attempt at a batch: check the file, answer its lines block by block, write the files.

A block's answers are stored before the next begins, and an attempt goes on after the last stored
one: a killed worker costs the requests of one block, and no line is ever answered twice in a file.
"""

import logging
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

from jobs.batches.lines import BatchLine, find_problems, read_lines
from jobs.batches.results import join_blocks, store_block
from jobs.batches.sending import Sender, unanswered
from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from service.core.domain.batches import Batch, BatchStatus
from service.core.errors import FileNotFound, InvalidRequest, StorageUnavailable
from service.core.repositories.batches import BatchRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.work import WorkRepository
from service.core.storage import ObjectNotFound

logger = logging.getLogger(__name__)

_BLOCKS_OF = 4
"""Times the concurrency: lines of one block."""
_EXPIRED_AT_ONCE = 1000
_LOOK_SECONDS = 2.0


def run_batch(attempt: Attempt) -> None:
    """From the claim to the files. Raises StaleEpoch, Drained, StorageUnavailable."""
    batch = _read(attempt)
    if batch.is_over:
        _finish(attempt)
        return
    if batch.status is BatchStatus.VALIDATING and not _validate(attempt, batch):
        return
    ending = BatchStatus.COMPLETED
    if _read(attempt).status is BatchStatus.IN_PROGRESS:
        ending = _answer(attempt, _read(attempt))
    if _read(attempt).status is BatchStatus.CANCELLING:
        ending = BatchStatus.CANCELLED
    _finalize(attempt, ending)


def _read(attempt: Attempt) -> Batch:
    def read() -> Batch:
        with attempt.reading() as connection:
            return BatchRepository(connection, attempt.scope).get(attempt.claim.subject_id)

    return patiently(attempt.control, read)


def _finish(attempt: Attempt) -> None:
    with attempt.writing() as connection:
        WorkRepository(connection).finish(attempt.claim)


def _input(attempt: Attempt, batch: Batch) -> Iterator[bytes]:
    """Raises InvalidRequest for a file that is gone."""
    try:
        with attempt.reading() as connection:
            file = FileRepository(connection, attempt.scope).get_in_use(batch.input_file_id)
        yield from attempt.resources.store.iterate(file.key)
    except (FileNotFound, ObjectNotFound):
        raise InvalidRequest(
            f"File {batch.input_file_id} no longer exists; upload it again.",
            param="input_file_id",
        ) from None


def _validate(attempt: Attempt, batch: Batch) -> bool:
    """Whether the batch may run; one with problems has failed."""
    total, problems = find_problems(_input(attempt, batch), batch.endpoint)

    def commit() -> None:
        with attempt.writing() as connection:
            batches = BatchRepository(connection, attempt.scope)
            if batches.get(batch.id).status is not BatchStatus.VALIDATING:
                return  # cancelled meanwhile
            if problems:
                batches.move(batch.id, BatchStatus.FAILED, problems=problems)
                WorkRepository(connection).finish(attempt.claim)
            else:
                batches.move(batch.id, BatchStatus.IN_PROGRESS, total=total)

    patiently(attempt.control, commit)
    return not problems


def _answer(attempt: Attempt, batch: Batch) -> BatchStatus:
    """Every line that has no answer yet; how the batch should end."""
    deadline = time.monotonic() + batch.seconds_left
    lines = read_lines(_input(attempt, batch), batch.endpoint)
    lines = islice(lines, batch.done, None)
    settings = attempt.resources.settings
    sender = Sender(settings, batch.project_id, batch.endpoint)
    watch = _Watch(attempt, deadline)
    block_lines = _BLOCKS_OF * settings.batch_concurrency
    with attempt.reading() as connection:
        number = len(BatchRepository(connection, attempt.scope).blocks(batch.id))
    while block := list(islice(lines, block_lines)):
        answers = sender.send(block, watch.goes_on)
        if answers:
            store_block(attempt, batch, number, answers)
            _note_progress(attempt)
        if watch.expired:
            answered = {answer.line["custom_id"] for answer in answers}
            left = [line for line in block if line.custom_id not in answered]
            _expire_rest(attempt, batch, number + 1, chain(left, lines))
            return BatchStatus.EXPIRED
        if not watch.goes_on():
            return BatchStatus.CANCELLED
        number += 1
    return BatchStatus.EXPIRED if batch.has_expired else BatchStatus.COMPLETED


class _Watch:
    """Whether the batch goes on: not expired, not being cancelled, the claim still held."""

    def __init__(self, attempt: Attempt, deadline: float) -> None:
        self._attempt = attempt
        self._deadline = deadline
        self._look_at = 0.0
        self._cancelling = False

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._deadline

    def goes_on(self) -> bool:
        """Raises StaleEpoch, Drained."""
        self._attempt.control.check()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._cancelling = _read(self._attempt).status is BatchStatus.CANCELLING
        return not self.expired and not self._cancelling


def _expire_rest(attempt: Attempt, batch: Batch, number: int, rest: Iterator[BatchLine]) -> None:
    message = "This request could not be executed before the completion window expired."
    _note_expiry(attempt, batch)
    while some := list(islice(rest, _EXPIRED_AT_ONCE)):
        expired = [unanswered(line, "batch_expired", message) for line in some]
        store_block(attempt, batch, number, expired)
        number += 1


def _note_expiry(attempt: Attempt, batch: Batch) -> None:
    """Before the first line says so: an attempt that follows this one finds no line left, and must
    not take that for success."""

    def note() -> None:
        with attempt.writing() as connection:
            BatchRepository(connection, attempt.scope).note_expiry(batch.id)

    patiently(attempt.control, note)


def _note_progress(attempt: Attempt) -> None:
    def note() -> None:
        with attempt.writing() as connection:
            WorkRepository(connection).note_progress(attempt.claim)

    patiently(attempt.control, note)


def _finalize(attempt: Attempt, ending: BatchStatus) -> None:
    """The files, then everything else in one transaction, then the blocks are of no more use."""
    if ending is BatchStatus.COMPLETED:
        _move_to_finalizing(attempt)
    batch = _read(attempt)
    with attempt.reading() as connection:
        blocks = BatchRepository(connection, attempt.scope).blocks(batch.id)
    output = join_blocks(attempt, batch, blocks, successes=True)
    errors = join_blocks(attempt, batch, blocks, successes=False)

    def commit() -> None:
        with attempt.writing() as connection:
            files = FileRepository(connection, attempt.scope)
            for file in (output, errors):
                if file is not None:
                    file.add_row(files, batch.output_seconds)
            batches = BatchRepository(connection, attempt.scope)
            batches.move(
                batch.id,
                ending,
                output_file_id=output.file_id if output else None,
                error_file_id=errors.file_id if errors else None,
            )
            batches.forget_blocks(batch.id)
            WorkRepository(connection).finish(attempt.claim)

    patiently(attempt.control, commit)
    for key in blocks:
        _try_delete(attempt, key)


def _move_to_finalizing(attempt: Attempt) -> None:
    def move() -> None:
        with attempt.writing() as connection:
            batches = BatchRepository(connection, attempt.scope)
            if batches.get(attempt.claim.subject_id).status is BatchStatus.IN_PROGRESS:
                batches.move(attempt.claim.subject_id, BatchStatus.FINALIZING)

    patiently(attempt.control, move)


def _try_delete(attempt: Attempt, key: str) -> None:
    try:
        patiently(attempt.control, partial(attempt.resources.store.delete, key))
    except StorageUnavailable:
        logger.warning("object %s stays behind: the store does not answer", key)
