"""What RQ may run. The id in a ring is a hint; the work table says what there is to do."""

from collections.abc import Callable, Mapping
from functools import partial

from jobs.batches.run import run_batch
from jobs.models import exporting, importing
from jobs.runner import file_report
from jobs.runner.attempt import claim_best, claim_subject, work_on
from jobs.runner.resources import WorkerProcess
from jobs.runner.training import train_job
from jobs.runner.validation import validate_files
from jobs.verification import verifying
from jobs.webhooks import LEASE_SECONDS, deliver
from jobs.worker.drain import drained_by_signal
from service.core.domain.work import WorkKind
from service.core.queue import TASKS

Task = Callable[[str], None]


def validate(job_id: str, process: WorkerProcess) -> None:
    """Check a job's files; the job that passes is rung for at once."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_subject(resources, WorkKind.VALIDATION, job_id)
        if claim is not None:
            work_on(resources, claim, control, validate_files)
            resources.doorbell.try_ring_due()


def train(_subject_id: str, process: WorkerProcess) -> None:
    """One attempt at the pool's best work, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, WorkKind.TRAINING)
        if claim is not None:
            work_on(resources, claim, control, train_job)
            resources.doorbell.try_ring_due()


def deliver_webhook(delivery_id: str, process: WorkerProcess) -> None:
    """One try of one delivery."""
    with process.open() as resources:
        claim = claim_subject(
            resources, WorkKind.WEBHOOK, delivery_id, least_lease_seconds=LEASE_SECONDS
        )
        if claim is not None:
            deliver(resources, claim)


def batch(_batch_id: str, process: WorkerProcess) -> None:
    """One attempt at the best batch, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, WorkKind.BATCH)
        if claim is not None:
            work_on(resources, claim, control, run_batch)
            resources.doorbell.try_ring_due()


def import_model(_import_id: str, process: WorkerProcess) -> None:
    """One attempt at the best import, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, WorkKind.IMPORT)
        if claim is not None:
            work_on(resources, claim, control, importing.import_model)
            resources.doorbell.try_ring_due()


def export_model(_export_id: str, process: WorkerProcess) -> None:
    """One attempt at the best export, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, WorkKind.EXPORT)
        if claim is not None:
            work_on(resources, claim, control, exporting.export_model)
            resources.doorbell.try_ring_due()


def report_on_file(report_id: str, process: WorkerProcess) -> None:
    """Examine a file, whether or not it is trained on."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_subject(resources, WorkKind.FILE_REPORT, report_id)
        if claim is not None:
            work_on(resources, claim, control, file_report.report_on_file)


def verify_job(_verification_id: str, process: WorkerProcess) -> None:
    """One attempt at the best verification, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, WorkKind.VERIFICATION)
        if claim is not None:
            work_on(resources, claim, control, verifying.verify_job)
            resources.doorbell.try_ring_due()


def tasks_of(process: WorkerProcess) -> Mapping[str, Task]:
    """The allow-list of a worker, by the names that the queue's producer uses."""
    return {
        TASKS[WorkKind.VALIDATION]: partial(validate, process=process),
        TASKS[WorkKind.TRAINING]: partial(train, process=process),
        TASKS[WorkKind.WEBHOOK]: partial(deliver_webhook, process=process),
        TASKS[WorkKind.BATCH]: partial(batch, process=process),
        TASKS[WorkKind.IMPORT]: partial(import_model, process=process),
        TASKS[WorkKind.EXPORT]: partial(export_model, process=process),
        TASKS[WorkKind.FILE_REPORT]: partial(report_on_file, process=process),
        TASKS[WorkKind.VERIFICATION]: partial(verify_job, process=process),
    }
