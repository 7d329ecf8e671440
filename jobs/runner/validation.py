"""Validation of a job's files: what it lets through can be trained on."""

from dataclasses import asdict

from jobs.integrations.reporting import require_packages
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import TRAINING, VALIDATION, Inputs, load_codec, read_inputs, stored_rows
from jobs.runner.patience import patiently
from service.core.datasets import invalid_file
from service.core.domain.jobs import JobStatus
from service.core.domain.work import WorkKind
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
    examples, tokens = _measure(attempt, inputs)
    resolved = resolve(inputs.job.hyperparameters, rows=examples, parameters=inputs.base.parameters)

    def queue() -> None:
        with attempt.writing() as connection:
            job_id = inputs.job.id
            JobRepository(connection, attempt.scope).move(
                job_id, JobStatus.QUEUED, resolved=asdict(resolved)
            )
            validated = events.files_validated(examples=examples, tokens=tokens)
            EventRepository(connection, attempt.scope).append(job_id, [validated])
            work, claim = WorkRepository(connection), attempt.claim
            work.finish(claim)
            work.add(claim.project_id, WorkKind.TRAINING, job_id, pool=claim.pool)

    patiently(attempt.control, queue)


def _check_files_differ(inputs: Inputs) -> None:
    validation = inputs.validation_file
    if validation is not None and validation.sha256 == inputs.training_file.sha256:
        raise invalid_file(
            "The validation file has the same content as the training file, so it would measure "
            "memory instead of learning; hold some examples out of training.",
            param=VALIDATION,
        )


def _measure(attempt: Attempt, inputs: Inputs) -> tuple[int, int]:
    """Training examples and their tokens."""
    codec, pulse = load_codec(attempt, inputs.base), attempt.control.check
    examples = tokens = 0
    for row in stored_rows(
        attempt, inputs.training_file, codec, inputs.base, param=TRAINING, pulse=pulse
    ):
        examples, tokens = examples + 1, tokens + len(row.tokens)
    if examples < MINIMUM_EXAMPLES:
        raise invalid_file(
            f"The training file has {examples} examples, and a job needs at least "
            f"{MINIMUM_EXAMPLES}; add rows.",
            param=TRAINING,
        )
    held_out = stored_rows(
        attempt, inputs.validation_file, codec, inputs.base, param=VALIDATION, pulse=pulse
    )
    if inputs.validation_file is not None and not sum(1 for _ in held_out):
        raise invalid_file("The validation file is empty; add rows.", param=VALIDATION)
    return examples, tokens
