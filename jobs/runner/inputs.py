"""What an attempt reads before it begins: the job, its files, its base's text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jobs.methods.batches import TokenRow
from jobs.runner.attempt import Attempt
from jobs.runner.control import NotYet
from jobs.runner.rows import token_rows
from service.core.database import Connection
from service.core.datasets import (
    Examination,
    LengthLimit,
    Report,
    RowKind,
    SeenRows,
    invalid_file,
)
from service.core.datasets.formats import as_jsonl
from service.core.domain.files import File
from service.core.domain.jobs import FineTuningJob
from service.core.domain.models import Base
from service.core.errors import FileNotFound
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.registry import RegistryRepository
from service.core.storage import ObjectNotFound, StoredObjectSource
from service.core.text import TextCodec

TRAINING, VALIDATION = "training_file", "validation_file"


@dataclass(frozen=True)
class Inputs:
    """A job with all that its training depends on."""

    job: FineTuningJob
    base: Base
    training_file: File
    validation_file: File | None


def read_inputs(attempt: Attempt) -> Inputs:
    """Raises InvalidTrainingFile for a file that is gone, NotYet without the base."""
    with attempt.reading() as connection:
        job = JobRepository(connection, attempt.scope).get(attempt.claim.subject_id)
        base = RegistryRepository(connection).find_base(job.base)
        if base is None:
            raise NotYet(f"Waiting for an engine that holds the base {job.base}.")
        return Inputs(
            job,
            base,
            _file(connection, attempt, job.training_file, TRAINING),
            _file(connection, attempt, job.validation_file, VALIDATION)
            if job.validation_file
            else None,
        )


def _file(connection: Connection, attempt: Attempt, file_id: str, param: str) -> File:
    try:
        return FileRepository(connection, attempt.scope).get_in_use(file_id)
    except FileNotFound:
        raise _gone(file_id, param) from None


def _gone(file_id: str, param: str) -> Exception:
    return invalid_file(f"File {file_id} no longer exists; upload it again.", param=param)


def load_codec(attempt: Attempt, base: Base) -> TextCodec:
    """Raises NotYet before an engine has published the base's text."""
    try:
        return attempt.resources.codecs.of(base)
    except ObjectNotFound:
        raise NotYet(f"Waiting for an engine to publish the base {base.name}.") from None


def stored_rows(
    attempt: Attempt, file: File | None, examination: Examination, report: Report
) -> Iterator[TokenRow]:
    """The rows of a file, streamed from the object store; none without a file. What is wrong with
    them is in `report`.

    Raises InvalidTrainingFile for a file that is gone, StorageUnavailable, and what
    `examination.pulse` raises.
    """
    if file is None:
        return
    source = StoredObjectSource(attempt.resources.store, file.key, file.bytes)
    chunks = as_jsonl(source, kind=examination.kind)
    try:
        yield from token_rows(chunks, examination, report)
    except ObjectNotFound:
        raise _gone(file.id, examination.param) from None


def examination_of(
    attempt: Attempt,
    inputs: Inputs,
    *,
    param: str,
    pulse: Callable[[], None],
    seen: SeenRows | None = None,
) -> Examination:
    """What the job asks of its files' rows. Raises NotYet."""
    return Examination(
        kind=RowKind.CONVERSATION,
        codec=load_codec(attempt, inputs.base),
        limit=LengthLimit(inputs.base.context_length),
        param=param,
        seen=seen,
        pulse=pulse,
    )
