"""Validation of a job's files: what it lets through can be trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from jobs.integrations.reporting import require_packages
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import (
    REPLAY,
    TRAINING,
    VALIDATION,
    Inputs,
    examination_of,
    read_inputs,
    stored_examples,
)
from jobs.runner.labels import check_labels
from jobs.runner.patience import patiently
from service.core.datasets import Report, SeenRows, Severity, invalid_file
from service.core.domain.jobs import DataFacts, JobStatus, NewEvent
from service.core.domain.work import WorkKind
from service.core.errors import InvalidTrainingFile
from service.core.hyperparameters import DataSizes, resolve
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository


@dataclass
class Examined:
    """One file of the job."""

    report: Report = field(default_factory=Report)
    examples: int = 0
    labels: set[str] = field(default_factory=set)
    is_multi_label: bool = False


def validate_files(attempt: Attempt) -> None:
    """Check every row of the files, then queue the job with numbers for each `auto`.

    Raises InvalidTrainingFile, InvalidValidationFile, IntegrationUnavailable, NotYet.
    """
    inputs = read_inputs(attempt)
    job = inputs.job
    require_packages(job)
    _check_files_differ(inputs)
    examined = _examine(attempt, inputs)
    told = [
        events.rows_examined(param, found.report)
        for param, found in examined.items()
        if found.report.counts
    ]
    _raise_if_unusable(attempt, inputs, examined, told)
    facts = _facts(inputs, examined)
    resolved = resolve(
        job.hyperparameters,
        method=job.method.type,
        tuning=job.tuning,
        sizes=DataSizes(facts.examples, facts.tokens),
        parameters=inputs.base.parameters,
        context_length=inputs.base.context_length,
    )

    def queue() -> None:
        with attempt.writing() as connection:
            JobRepository(connection, attempt.scope).move(
                job.id, JobStatus.QUEUED, resolved=asdict(resolved), facts=asdict(facts)
            )
            EventRepository(connection, attempt.scope).append(
                job.id, [*told, events.files_validated(facts)]
            )
            work, claim = WorkRepository(connection), attempt.claim
            work.finish(claim)
            work.add(claim.project_id, WorkKind.TRAINING, job.id, pool=claim.pool)

    patiently(attempt.control, queue)


def _examine(attempt: Attempt, inputs: Inputs) -> Mapping[str, Examined]:
    """Each file of the job, by the parameter that names it."""
    with SeenRows() as seen:

        def examine(param: str) -> Examined:
            found = Examined()
            pulse = attempt.control.check
            examination = examination_of(attempt, inputs, param=param, pulse=pulse, seen=seen)
            for example in stored_examples(attempt, inputs, examination, found.report):
                found.examples += 1
                found.labels.update(example.labels)
                found.is_multi_label = example.is_multi_label
            return found

        return {param: examine(param) for param in inputs.files}


def _raise_if_unusable(
    attempt: Attempt, inputs: Inputs, examined: Mapping[str, Examined], told: Sequence[NewEvent]
) -> None:
    """Raises InvalidTrainingFile or InvalidValidationFile, once the job's events say all that was
    found."""
    try:
        for param, found in examined.items():
            found.report.raise_if_errors(param)
            least = inputs.method.minimum_examples if param == TRAINING else 1
            _check_enough(found.report, least, param)
        training, held_out = examined[TRAINING], examined.get(VALIDATION)
        check_labels(inputs, training, held_out)
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
    too_long = report.counts[Severity.WARNING, "skipped"]
    tail, mend = "", "add rows"
    if too_long:
        tail = f" ({too_long} more are left out, because they are too long)"
        mend = "raise max_seq_length, shorten them or add rows"
    raise invalid_file(
        f"The {events.file_name(param)} has {report.usable_rows} examples{tail}, and a job needs "
        f"at least {least}; {mend}.",
        param=param,
    )


def _check_files_differ(inputs: Inputs) -> None:
    validation = inputs.files.get(VALIDATION)
    if validation is not None and validation.sha256 == inputs.files[TRAINING].sha256:
        raise invalid_file(
            "The validation file has the same content as the training file, so it would measure "
            "memory instead of learning; hold some examples out of training.",
            param=VALIDATION,
        )


def _facts(inputs: Inputs, examined: Mapping[str, Examined]) -> DataFacts:
    training = examined[TRAINING]
    reports = [found.report for param, found in examined.items() if param != REPLAY]

    def count(code: str) -> int:
        return sum(report.counts[Severity.WARNING, code] for report in reports)

    return DataFacts(
        examples=training.examples,
        tokens=training.report.tokens,
        labels=tuple(sorted(training.labels)),
        is_multi_label=training.is_multi_label,
        truncated=count("truncated"),
        skipped=count("skipped"),
        digests={param: file.sha256 for param, file in inputs.files.items()},
    )
