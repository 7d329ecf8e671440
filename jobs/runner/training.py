"""A training attempt: a session on an engine, the method's loop, checkpoints, the model."""

from jobs.integrations.reporting import Reporter, reporting
from jobs.methods.examples import Example
from jobs.methods.method import Plan, Run
from jobs.runner import events
from jobs.runner.artefacts import JobArtefacts
from jobs.runner.attempt import Attempt
from jobs.runner.engines import Training, training_session
from jobs.runner.environment import environment_of
from jobs.runner.inputs import (
    REPLAY,
    TRAINING,
    VALIDATION,
    Inputs,
    examination_of,
    read_inputs,
    stored_examples,
)
from jobs.runner.patience import patiently
from jobs.runner.publish import publish
from jobs.runner.recorder import Recorder
from jobs.runner.resuming import (
    Start,
    drop_states,
    find_kept,
    find_ledger,
    find_start,
    reject_state,
)
from jobs.runner.saves import SaveRecorder
from service.core.datasets import Report
from service.core.domain.jobs import DataFacts, FineTuningJob, JobStatus
from service.core.errors import AdapterCorrupt, TrainingDiverged, TrainingFailed
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository


def train_job(attempt: Attempt) -> None:
    """From the claim, or the last training state that is stored, to the published model.

    Raises NotYet without an engine, what ends an attempt from outside, and TrainingFailed.
    """
    inputs = read_inputs(attempt)
    with reporting(attempt, inputs.job) as reporter:
        _train(attempt, inputs, reporter)
        reporter.finish()


def _train(attempt: Attempt, inputs: Inputs, reporter: Reporter) -> None:
    start = find_start(attempt, inputs.job)
    try:
        _train_from(attempt, inputs, start, reporter)
    except AdapterCorrupt:
        if start.state is not None:
            reject_state(attempt, start.state)
        raise


def _train_from(attempt: Attempt, inputs: Inputs, start: Start, reporter: Reporter) -> None:
    with training_session(attempt, inputs, resume=start.point) as training:
        begin(attempt, inputs.job, after_step=start.step)
        recorder = Recorder(attempt, written=start.written, after_step=start.step)
        saves = SaveRecorder(
            attempt, inputs.job, training.opened, recorder, find_ledger(attempt, start)
        )
        _run_method(attempt, inputs, training, start, recorder, saves, reporter)
        saves.record(training.session.wait_all_stored())
    patiently(attempt.control, recorder.flush)
    attempt.control.check_pause()
    publish(attempt, inputs.job, training.opened, recorder.reports, saves.ledger)
    drop_states(attempt, inputs.job.id, keep=0)


def _run_method(
    attempt: Attempt,
    inputs: Inputs,
    training: Training,
    start: Start,
    recorder: Recorder,
    saves: SaveRecorder,
    reporter: Reporter,
) -> None:
    session = training.session

    def pulse() -> None:
        attempt.control.check()
        session.beat()

    with environment_of(attempt, inputs, pulse) as environment:
        run = Run(
            session,
            JobArtefacts(attempt, inputs.job),
            environment=environment,
            after_step=start.step,
            told=start.told,
            kept=find_kept(attempt, start),
            keep=saves.keep,
            is_asked_to_stop=lambda: attempt.control.is_asked_to_pause,
            state_seconds=attempt.resources.settings.state_seconds,
        )
        try:
            for report in inputs.method.train(plan_of(attempt, inputs, training), run):
                saves.take_in(report)
                recorder.report(report)
                reporter.report(report)
                saves.record(session.take_stored())
        except TrainingDiverged:
            saves.record(session.wait_all_stored())  # what was good until then stays
            patiently(attempt.control, recorder.flush)
            raise


def begin(attempt: Attempt, job: FineTuningJob, *, after_step: int = 0) -> None:
    """The job runs. Raises StaleEpoch, Paused."""
    number = job.attempts + 1
    kept = {} if after_step else {"progress": None}
    with attempt.writing() as connection:
        attempt.control.check_pause()
        JobRepository(connection, attempt.scope).move(
            job.id, JobStatus.RUNNING, attempts=number, **kept
        )
        EventRepository(connection, attempt.scope).append(
            job.id, [events.attempt_started(number, after_step=after_step)]
        )


def plan_of(attempt: Attempt, inputs: Inputs, training: Training) -> Plan:
    """The rows once more, to be kept this time. Raises InvalidTrainingFile, TrainingFailed."""
    job = inputs.job
    if job.resolved is None:
        raise TypeError(f"job {job.id} is queued without resolved hyperparameters")

    def pulse() -> None:
        attempt.control.check()
        attempt.control.check_pause()
        training.session.beat()

    def rows(param: str) -> list[Example]:
        report = Report()
        examination = examination_of(attempt, inputs, param=param, pulse=pulse)
        found = list(stored_examples(attempt, inputs, examination, report))
        report.raise_if_errors(param)
        if param == TRAINING and job.facts is not None:
            _check_same_rows(job.facts, DataFacts(len(found), report.tokens))
        return found

    return Plan(
        training=rows(TRAINING),
        validation=rows(VALIDATION),
        numbers=job.resolved,
        facts=job.facts or DataFacts(0, 0),  # none of jobs queued by an older release
        seed=job.seed,
        replay=rows(REPLAY),
    )


def _check_same_rows(validated: DataFacts, found: DataFacts) -> None:
    """Files and limits are those of the validation; so only a changed object or a base whose text
    is another by now makes other tokens of them. Raises TrainingFailed."""
    if (validated.examples, validated.tokens) != (found.examples, found.tokens):
        raise TrainingFailed(
            f"The training file has {found.examples} examples with {found.tokens} tokens, and had "
            f"{validated.examples} with {validated.tokens} when it was validated: what is stored, "
            "or the base's template or tokenizer, has changed since. Create the job again."
        )
