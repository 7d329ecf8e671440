"""What an attempt reads before it begins: the job, its files, its base's text."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from jobs.methods.examples import Example
from jobs.methods.method import TrainingMethod
from jobs.methods.registry import method_of
from jobs.runner.attempt import Attempt
from jobs.runner.control import NotYet
from jobs.runner.rows import example_of
from service.core.database import Connection
from service.core.datasets import (
    Examination,
    LengthLimit,
    Report,
    RowKind,
    SeenRows,
    examine,
    invalid_file,
)
from service.core.datasets.formats import as_jsonl
from service.core.domain.files import File
from service.core.domain.jobs import FineTuningJob, StartPoint
from service.core.domain.methods import UnsupervisedMethod
from service.core.domain.models import Base
from service.core.errors import FileNotFound, ModelNotFound, StartModelGone
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from service.core.storage import ObjectNotFound, StoredObjectSource
from service.core.text import TextCodec

TRAINING, VALIDATION = "training_file", "validation_file"
REPLAY = "method.unsupervised.replay_file"


@dataclass(frozen=True)
class Inputs:
    """A job with all that its training depends on."""

    job: FineTuningJob
    base: Base
    method: TrainingMethod
    files: Mapping[str, File]
    """By the job's field that names them."""

    @property
    def kind(self) -> RowKind:
        """Of the rows of every one of them."""
        return RowKind.of_method(self.job.method.type)

    @property
    def limit(self) -> LengthLimit:
        """Resolved with the other numbers by the validation, and from then on a fact."""
        job, resolved = self.job, self.job.resolved
        if resolved is not None and resolved.max_seq_length is not None:
            return LengthLimit(resolved.max_seq_length, resolved.over_length)
        return LengthLimit.of(job.hyperparameters, job.method.type, self.base.context_length)


def read_inputs(attempt: Attempt, job_id: str | None = None) -> Inputs:
    """Of the job that the attempt is at, or of another. Raises InvalidTrainingFile for a file that
    is gone, NotYet without the base."""
    with attempt.reading() as connection:
        jobs = JobRepository(connection, attempt.scope)
        job = jobs.get(job_id or attempt.claim.subject_id)
        base = RegistryRepository(connection).find_base(job.base)
        if base is None:
            raise NotYet(f"Waiting for an engine that holds the base {job.base}.")
        if job.start is not None:
            _check_start(connection, attempt, job.start)
        files = {
            param: _file(connection, attempt, file_id, param)
            for param, file_id in _named_files(job).items()
        }
    return Inputs(job, base, method_of(job), files)


def _named_files(job: FineTuningJob) -> Mapping[str, str]:
    named = {TRAINING: job.training_file}
    if job.validation_file is not None:
        named[VALIDATION] = job.validation_file
    if isinstance(job.method, UnsupervisedMethod) and job.method.replay_file is not None:
        named[REPLAY] = job.method.replay_file
    return named


def _check_start(connection: Connection, attempt: Attempt, start: StartPoint) -> None:
    """Raises ModelNotFound's refusal as the job's own failure: it comes back for nobody."""
    try:
        ModelRepository(connection, attempt.scope).resolve(start.model)
    except ModelNotFound:
        raise StartModelGone(
            f"The model {start.model!r}, from which this job should go on, has been deleted or is "
            "no longer permitted to this project; create the job again from another model.",
            param="model",
        ) from None


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


def stored_examples(
    attempt: Attempt, inputs: Inputs, examination: Examination, report: Report
) -> Iterator[Example]:
    """The examples of the file that the examination is for, streamed from the object store; none
    without such a file. What is wrong with rows is in `report`.

    Raises InvalidTrainingFile for a file that is gone, StorageUnavailable, and what
    `examination.pulse` raises.
    """
    file = inputs.files.get(examination.param)
    if file is None:
        return
    source = StoredObjectSource(attempt.resources.store, file.key, file.bytes)
    chunks = as_jsonl(source, kind=examination.kind)
    try:
        for row, encoded in examine(chunks, examination, report):
            yield example_of(row, encoded)
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
        kind=inputs.kind,
        codec=load_codec(attempt, inputs.base),
        limit=inputs.limit,
        param=param,
        seen=seen,
        pulse=pulse,
    )
