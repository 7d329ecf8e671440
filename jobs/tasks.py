"""What RQ may run. The id in a ring is a hint; the work table says what there is to do."""

from collections.abc import Callable, Mapping
from functools import partial

from jobs.batches.run import run_batch
from jobs.models import exporting, importing
from jobs.runner import file_report
from jobs.runner.attempt import AttemptBody, claim_best, claim_subject, work_on
from jobs.runner.resources import WorkerProcess
from jobs.runner.training import train_job
from jobs.runner.validation import validate_files
from jobs.verification import verifying
from jobs.webhooks import LEASE_SECONDS, deliver
from jobs.worker.drain import drained_by_signal
from service.core.domain.work import WorkKind
from service.core.queue import TASKS

Task = Callable[[str], None]


def work_on_subject(
    subject_id: str, process: WorkerProcess, kind: WorkKind, body: AttemptBody
) -> None:
    """One attempt at the work that rang; what it leads to is rung for at once."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_subject(resources, kind, subject_id)
        if claim is not None:
            work_on(resources, claim, control, body)
            resources.doorbell.try_ring_due()


def work_on_best(
    _subject_id: str, process: WorkerProcess, kind: WorkKind, body: AttemptBody
) -> None:
    """One attempt at the pool's best work of a kind, which need not be the one that rang."""
    with process.open() as resources, drained_by_signal() as control:
        claim = claim_best(resources, kind)
        if claim is not None:
            work_on(resources, claim, control, body)
            resources.doorbell.try_ring_due()


def deliver_webhook(delivery_id: str, process: WorkerProcess) -> None:
    """One try of one delivery."""
    with process.open() as resources:
        claim = claim_subject(
            resources, WorkKind.WEBHOOK, delivery_id, least_lease_seconds=LEASE_SECONDS
        )
        if claim is not None:
            deliver(resources, claim)


_BY_SUBJECT: Mapping[WorkKind, AttemptBody] = {
    WorkKind.VALIDATION: validate_files,
    WorkKind.FILE_REPORT: file_report.report_on_file,
}
_BEST: Mapping[WorkKind, AttemptBody] = {
    WorkKind.TRAINING: train_job,
    WorkKind.BATCH: run_batch,
    WorkKind.IMPORT: importing.import_model,
    WorkKind.EXPORT: exporting.export_model,
    WorkKind.VERIFICATION: verifying.verify_job,
}


def tasks_of(process: WorkerProcess) -> Mapping[str, Task]:
    """The allow-list of a worker, by the names that the queue's producer uses."""
    tasks: dict[str, Task] = {
        TASKS[WorkKind.WEBHOOK]: partial(deliver_webhook, process=process),
    }
    for run, bodies in ((work_on_subject, _BY_SUBJECT), (work_on_best, _BEST)):
        for kind, body in bodies.items():
            tasks[TASKS[kind]] = partial(run, process=process, kind=kind, body=body)
    return tasks
