"""A training attempt: a session on an engine, the method's loop, checkpoints, the model."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from jobs.integrations.reporting import Reporter, reporting
from jobs.methods.batches import TokenRow
from jobs.methods.supervised import SupervisedPlan, train
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.checkpoints import record_checkpoint
from jobs.runner.engines import Training, training_session
from jobs.runner.inputs import (
    TRAINING,
    VALIDATION,
    Inputs,
    examination_of,
    read_inputs,
    stored_rows,
)
from jobs.runner.patience import patiently
from jobs.runner.publish import publish
from jobs.runner.recorder import Recorder
from jobs.runner.resuming import Start, drop_states, find_start, reject_state
from jobs.runner.session import StoredSave
from service.core.datasets import Report
from service.core.domain.files import File
from service.core.domain.jobs import FineTuningJob, JobStatus
from service.core.domain.models import Delta
from service.core.errors import AdapterCorrupt, TrainingFailed
from service.core.object_keys import step_of
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
    with _session(attempt, inputs, start) as training:
        begin(attempt, inputs.job, after_step=start.step)
        recorder = Recorder(attempt, written=start.written, after_step=start.step)
        run = _Run(attempt, inputs, training, recorder, start.latest)
        for report in train(
            _plan(attempt, inputs, training),
            training.session,
            after_step=start.step,
            is_asked_to_stop=lambda: attempt.control.is_asked_to_pause,
        ):
            run.recorder.report(report)
            reporter.report(report)
            run.record_checkpoints(training.session.take_stored())
        run.record_checkpoints(training.session.wait_all_stored())
    patiently(attempt.control, run.recorder.flush)
    attempt.control.check_pause()
    publish(
        attempt,
        inputs.job,
        delta=run.last_checkpoint(),
        base_digest=training.base_digest,
        reports=run.recorder.reports,
    )
    drop_states(attempt, inputs.job.id, keep=0)


@contextmanager
def _session(attempt: Attempt, inputs: Inputs, start: Start) -> Iterator[Training]:
    with ExitStack() as stack:
        try:
            training = stack.enter_context(training_session(attempt, inputs, resume=start.point))
        except AdapterCorrupt:
            if start.checkpoint is not None:
                reject_state(attempt, start.checkpoint)
            raise
        yield training


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


def _plan(attempt: Attempt, inputs: Inputs, training: Training) -> SupervisedPlan:
    """The rows once more, to be kept this time."""
    if inputs.job.resolved is None:
        raise TypeError(f"job {inputs.job.id} is queued without resolved hyperparameters")

    def pulse() -> None:
        attempt.control.check()
        attempt.control.check_pause()
        training.session.beat()

    def rows(file: File | None, param: str) -> list[TokenRow]:
        """Faults were found by the validation; what it let through is the same this time."""
        report = Report()
        examination = examination_of(attempt, inputs, param=param, pulse=pulse)
        found = list(stored_rows(attempt, file, examination, report))
        report.raise_if_errors(param)
        return found

    return SupervisedPlan(
        rows=rows(inputs.training_file, TRAINING),
        validation=rows(inputs.validation_file, VALIDATION),
        numbers=inputs.job.resolved,
        seed=inputs.job.seed,
    )


@dataclass
class _Run:
    """The checkpoints of a running attempt."""

    attempt: Attempt
    inputs: Inputs
    training: Training
    recorder: Recorder
    latest: tuple[int, Delta] | None
    """The checkpoint that the attempt began with, and then the last that it has recorded."""
    waiting: list[StoredSave] = field(default_factory=list)
    """Stored before the report of their step: the engine is a step ahead."""

    def record_checkpoints(self, saves: list[StoredSave]) -> None:
        waiting, self.waiting = [*self.waiting, *saves], []
        for save in waiting:
            step = step_of(save.name)
            metrics = self.recorder.metrics_of(step)
            if metrics is None:
                self.waiting.append(save)
                continue
            patiently(self.attempt.control, self.recorder.flush)
            delta = record_checkpoint(
                self.attempt,
                self.inputs.job,
                save,
                step=step,
                base_digest=self.training.base_digest,
                metrics=metrics,
            )
            latest = self.latest or (0, delta)
            self.latest = max(latest, (step, delta), key=lambda stored: stored[0])
            drop_states(self.attempt, self.inputs.job.id)

    def last_checkpoint(self) -> Delta:
        """Raises TrainingFailed when nothing was stored."""
        if self.latest is None:
            raise TrainingFailed("The training ended without a checkpoint.")
        return self.latest[1]
