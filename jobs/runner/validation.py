"""Validation of a job's files: what it lets through can be trained on."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from jobs.integrations.reporting import require_packages
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import (
    TRAINING,
    VALIDATION,
    Inputs,
    examination_of,
    read_inputs,
    stored_rows,
)
from jobs.runner.patience import patiently
from service.core.datasets import Report, SeenRows, invalid_file
from service.core.domain.files import File
from service.core.domain.jobs import JobStatus, NewEvent
from service.core.domain.work import WorkKind
from service.core.errors import InvalidTrainingFile
from service.core.hyperparameters import resolve
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository

MINIMUM_EXAMPLES = 10


def validate_files(attempt: Attempt) -> None:
    """Check every row of the files, then queue the job with numbers for each `auto`.

    Raises InvalidTrainingFile, InvalidValidationFile, IntegrationUnavailable, NotYet.
    """
    inputs = read_inputs(attempt)
    require_packages(inputs.job)
    _check_files_differ(inputs)
    training, validation = _examine(attempt, inputs)
    told = [
        events.rows_examined(param, report)
        for param, report in ((TRAINING, training), (VALIDATION, validation))
        if report is not None and report.counts
    ]
    _raise_if_unusable(attempt, inputs, training, validation, told)
    resolved = resolve(
        inputs.job.hyperparameters,
        rows=training.usable_rows,
        parameters=inputs.base.parameters,
    )

    def queue() -> None:
        with attempt.writing() as connection:
            job_id = inputs.job.id
            JobRepository(connection, attempt.scope).move(
                job_id, JobStatus.QUEUED, resolved=asdict(resolved)
            )
            validated = events.files_validated(
                examples=training.usable_rows, tokens=training.tokens
            )
            EventRepository(connection, attempt.scope).append(job_id, [*told, validated])
            work, claim = WorkRepository(connection), attempt.claim
            work.finish(claim)
            work.add(claim.project_id, WorkKind.TRAINING, job_id, pool=claim.pool)

    patiently(attempt.control, queue)


def _examine(attempt: Attempt, inputs: Inputs) -> tuple[Report, Report | None]:
    """Of the training file and of the validation file, if there is one."""
    with SeenRows() as seen:

        def report_on(file: File, param: str) -> Report:
            report = Report()
            pulse = attempt.control.check
            examination = examination_of(attempt, inputs, param=param, pulse=pulse, seen=seen)
            for _ in stored_rows(attempt, file, examination, report):
                pass
            return report

        training = report_on(inputs.training_file, TRAINING)
        held_out = inputs.validation_file
        return training, None if held_out is None else report_on(held_out, VALIDATION)


def _raise_if_unusable(
    attempt: Attempt,
    inputs: Inputs,
    training: Report,
    validation: Report | None,
    told: Sequence[NewEvent],
) -> None:
    """Raises InvalidTrainingFile or InvalidValidationFile, once the job's events say all that was
    found."""
    try:
        training.raise_if_errors(TRAINING)
        _check_enough(training, MINIMUM_EXAMPLES, TRAINING)
        if validation is not None:
            validation.raise_if_errors(VALIDATION)
            _check_enough(validation, 1, VALIDATION)
    except InvalidTrainingFile:
        patiently(attempt.control, partial(_tell, attempt, inputs.job.id, told))
        raise


def _tell(attempt: Attempt, job_id: str, told: Sequence[NewEvent]) -> None:
    with attempt.writing() as connection:
        EventRepository(connection, attempt.scope).append(job_id, told)


def _check_enough(report: Report, least: int, param: str) -> None:
    """Raises InvalidTrainingFile."""
    if report.usable_rows >= least:
        return
    name = param.replace("_", " ")
    left_out = report.rows - report.usable_rows
    tail = f" ({left_out} more rows are left out, see the job's events)" if left_out else ""
    raise invalid_file(
        f"The {name} has {report.usable_rows} examples{tail}, and a job needs at least {least}; "
        "add rows.",
        param=param,
    )


def _check_files_differ(inputs: Inputs) -> None:
    validation = inputs.validation_file
    if validation is not None and validation.sha256 == inputs.training_file.sha256:
        raise invalid_file(
            "The validation file has the same content as the training file, so it would measure "
            "memory instead of learning; hold some examples out of training.",
            param=VALIDATION,
        )
