"""Validation of a job's files: what it lets through can be trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from jobs.methods.examples import Example
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import (
    REPLAY,
    TRAINING,
    VALIDATION,
    Inputs,
    load_codec,
    read_inputs,
    stored_examples,
)
from jobs.runner.patience import patiently
from jobs.runner.rows import Fitting
from service.core.datasets import RowKind, invalid_file
from service.core.domain.jobs import DataFacts, JobStatus
from service.core.domain.methods import ClassificationMethod
from service.core.domain.work import WorkKind
from service.core.hyperparameters import DataSizes, resolve
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository
from service.core.text import TextCodec


def validate_files(attempt: Attempt) -> None:
    """Check every row of the files, then queue the job with numbers for each `auto`.

    Raises InvalidTrainingFile, InvalidValidationFile, NotYet.
    """
    inputs = read_inputs(attempt)
    _check_files_differ(inputs)
    facts = _examine(attempt, inputs)
    job = inputs.job
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
            told = EventRepository(connection, attempt.scope)
            told.append(job.id, events.files_validated(facts))
            work, claim = WorkRepository(connection), attempt.claim
            work.finish(claim)
            work.add(claim.project_id, WorkKind.TRAINING, job.id, pool=claim.pool)

    patiently(attempt.control, queue)


def _check_files_differ(inputs: Inputs) -> None:
    validation = inputs.files.get(VALIDATION)
    if validation is not None and validation.sha256 == inputs.files[TRAINING].sha256:
        raise invalid_file(
            "The validation file has the same content as the training file, so it would measure "
            "memory instead of learning; hold some examples out of training.",
            param=VALIDATION,
        )


@dataclass
class _Count:
    """Of one file."""

    examples: int = 0
    tokens: int = 0
    labels: set[str] = field(default_factory=set)
    is_multi_label: bool = False

    def add(self, example: Example) -> None:
        self.examples += 1
        self.tokens += example.tokens
        self.labels.update(example.labels)
        self.is_multi_label = example.is_multi_label


def _examine(attempt: Attempt, inputs: Inputs) -> DataFacts:
    codec, fitting = load_codec(attempt, inputs.base), inputs.fitting()
    training = _count(attempt, inputs, TRAINING, codec, fitting)
    least = inputs.method.minimum_examples
    if training.examples < least:
        skipped = f" that are short enough ({fitting.skipped} are not)" if fitting.skipped else ""
        raise invalid_file(
            f"The training file has {training.examples} examples{skipped}, and a job needs at "
            f"least {least}; add rows.",
            param=TRAINING,
        )
    held_out = _count(attempt, inputs, VALIDATION, codec, fitting)
    replayed = _count(attempt, inputs, REPLAY, codec, fitting)
    for param, count in ((VALIDATION, held_out), (REPLAY, replayed)):
        if param in inputs.files and not count.examples:
            name = param.rpartition(".")[2].replace("_", " ")
            raise invalid_file(f"The {name} is empty; add rows.", param=param)
    _check_labels(inputs, training, held_out)
    return DataFacts(
        examples=training.examples,
        tokens=training.tokens,
        labels=tuple(sorted(training.labels)),
        is_multi_label=training.is_multi_label,
        truncated=fitting.truncated,
        skipped=fitting.skipped,
        digests={param: file.sha256 for param, file in inputs.files.items()},
    )


def _count(
    attempt: Attempt, inputs: Inputs, param: str, codec: TextCodec, fitting: Fitting
) -> _Count:
    count = _Count()
    for example in stored_examples(
        attempt, inputs, param, codec, fitting=fitting, pulse=attempt.control.check
    ):
        count.add(example)
    return count


def _check_labels(inputs: Inputs, training: _Count, held_out: _Count) -> None:
    if inputs.method.kind is not RowKind.LABELLED:
        return
    if len(training.labels) < 2:
        raise invalid_file(
            "Every row of the training file has the same label, so there is nothing to tell "
            "apart; add rows of another.",
            param=TRAINING,
        )
    if held_out.examples and held_out.is_multi_label != training.is_multi_label:
        raise invalid_file(
            "One of the files gives each row a label, and the other a list of labels; write both "
            "in the same way.",
            param=VALIDATION,
        )
    unknown = sorted(held_out.labels - training.labels)
    if unknown:
        raise invalid_file(
            f"The label {unknown[0]!r} is in no row of the training file, so it cannot be learned; "
            "add such rows or take it out of the validation file.",
            param=VALIDATION,
        )
    method = inputs.job.method
    weights = method.class_weights if isinstance(method, ClassificationMethod) else None
    if isinstance(weights, Mapping) and not weights.keys() <= training.labels:
        stranger = sorted(weights.keys() - training.labels)[0]
        raise invalid_file(
            f"'class_weights' has a weight for {stranger!r}, which is the label of no row.",
            param=TRAINING,
        )
