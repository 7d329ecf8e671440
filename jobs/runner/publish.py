"""Publishing: the objects first, then everything else in one transaction."""

from collections.abc import Sequence
from functools import partial

from jobs.methods.reporting import StepReport
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from jobs.runner.results_file import FILENAME, results_csv
from service.core.domain.files import FilePurpose
from service.core.domain.jobs import FineTuningJob, JobStatus
from service.core.domain.models import Delta
from service.core.ids import new_file_id
from service.core.object_keys import file_key
from service.core.repositories.events import EventRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.work import WorkRepository
from service.core.storage import StoredObject


def publish(
    attempt: Attempt,
    job: FineTuningJob,
    *,
    delta: Delta,
    base_digest: str,
    reports: Sequence[StepReport],
) -> None:
    """Make `delta` the job's model, and the job succeeded. Raises StaleEpoch, Paused."""
    file_id = new_file_id()
    key = file_key(attempt.scope.project_id, file_id)
    content = results_csv(reports)
    stored = patiently(attempt.control, partial(attempt.resources.store.put_bytes, key, content))
    trained_tokens = sum(report.tokens for report in reports)

    def commit() -> None:
        with attempt.writing() as connection:
            attempt.control.check_pause()
            _add_result_file(FileRepository(connection, attempt.scope), file_id, stored)
            ModelRepository(connection, attempt.scope).add(
                job.reserved_model_name,
                base=job.base,
                base_digest=base_digest,
                job_id=job.id,
                delta=delta,
            )
            JobRepository(connection, attempt.scope).move(
                job.id,
                JobStatus.SUCCEEDED,
                result_files=[file_id],
                trained_tokens=trained_tokens,
            )
            EventRepository(connection, attempt.scope).append(
                job.id, [events.model_published(job), events.job_succeeded()]
            )
            WorkRepository(connection).finish(attempt.claim)

    patiently(attempt.control, commit)


def _add_result_file(files: FileRepository, file_id: str, stored: StoredObject) -> None:
    files.add(
        file_id,
        filename=FILENAME,
        purpose=FilePurpose.FINE_TUNE_RESULTS,
        bytes=stored.bytes,
        sha256=stored.sha256,
        key=stored.key,
    )
