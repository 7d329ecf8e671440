"""Publishing: the objects first, then everything else in one transaction."""

from collections.abc import Sequence
from functools import partial

from jobs.methods.early_stopping import WATCHED
from jobs.methods.reporting import StepReport
from jobs.runner import events
from jobs.runner.artefacts import JobArtefacts
from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from jobs.runner.receipt import receipt_of
from jobs.runner.results_file import ResultFile, result_files
from service.core.domain.files import FilePurpose
from service.core.domain.jobs import Checkpoint, FineTuningJob, JobStatus
from service.core.engine_protocol import SessionOpened
from service.core.errors import TrainingFailed
from service.core.ids import new_file_id
from service.core.ledger import Ledger
from service.core.object_keys import file_key
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.work import WorkRepository
from service.core.storage import StoredObject

_ALL = 1000


def publish(
    attempt: Attempt,
    job: FineTuningJob,
    opened: SessionOpened,
    reports: Sequence[StepReport],
    ledger: Ledger,
) -> None:
    """Make the chosen checkpoint the job's model, and the job succeeded.

    Raises TrainingFailed when nothing was stored, StaleEpoch, Paused.
    """
    chosen = choose_checkpoint(job, _checkpoints(attempt, job))
    files = [(new_file_id(), file) for file in result_files(job, reports)]
    stored = [(id_, file, _store(attempt, id_, file)) for id_, file in files]
    artefacts = JobArtefacts(attempt, job)
    kept = {
        "rows": artefacts.store("rows.json.gz", ledger.to_bytes()),
        "receipt": artefacts.store("receipt.json", receipt_of(job, opened, reports, chosen)),
    }
    trained_tokens = sum(report.tokens for report in reports)

    def commit() -> None:
        with attempt.writing() as connection:
            attempt.control.check_pause()
            for id_, file, object_ in stored:
                _add_result_file(FileRepository(connection, attempt.scope), id_, file, object_)
            ModelRepository(connection, attempt.scope).add(
                job.reserved_model_name,
                base=job.base,
                base_digest=opened.base_digest,
                job_id=job.id,
                delta=chosen.delta,
            )
            jobs = JobRepository(connection, attempt.scope)
            jobs.note_artefacts(job.id, kept)
            jobs.move(
                job.id,
                JobStatus.SUCCEEDED,
                result_files=[id_ for id_, _ in files],
                trained_tokens=trained_tokens,
            )
            told = [events.model_published(job), events.job_succeeded()]
            if reports and reports[-1].step < reports[-1].total_steps:
                told.insert(0, events.stopped_early(chosen.step))
            EventRepository(connection, attempt.scope).append(job.id, told)
            WorkRepository(connection).finish(attempt.claim)

    patiently(attempt.control, commit)


def choose_checkpoint(job: FineTuningJob, checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """With early stopping the best by the validation file, else the last.

    Raises TrainingFailed when there is none.
    """
    if not checkpoints:
        raise TrainingFailed("The training ended without a checkpoint.")
    measured = [checkpoint for checkpoint in checkpoints if WATCHED in checkpoint.metrics]
    if measured and job.resolved is not None and job.resolved.early_stopping_patience:
        return min(measured, key=lambda checkpoint: (checkpoint.metrics[WATCHED], checkpoint.step))
    return max(checkpoints, key=lambda checkpoint: checkpoint.step)


def _checkpoints(attempt: Attempt, job: FineTuningJob) -> Sequence[Checkpoint]:
    with attempt.reading() as connection:
        repository = CheckpointRepository(connection, attempt.scope)
        return repository.list(job.id, after=None, limit=_ALL).items


def _store(attempt: Attempt, file_id: str, file: ResultFile) -> StoredObject:
    key = file_key(attempt.scope.project_id, file_id)
    put = partial(attempt.resources.store.put_bytes, key, file.content)
    return patiently(attempt.control, put)


def _add_result_file(
    files: FileRepository, file_id: str, file: ResultFile, stored: StoredObject
) -> None:
    files.add(
        file_id,
        filename=file.name,
        purpose=FilePurpose.FINE_TUNE_RESULTS,
        bytes=stored.bytes,
        sha256=stored.sha256,
        key=stored.key,
    )
