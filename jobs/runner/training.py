"""A training attempt: a session on an engine, the method's loop, checkpoints, the model."""

from dataclasses import dataclass, field

from jobs.methods.supervised import SupervisedPlan, train
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.checkpoints import record_checkpoint
from jobs.runner.engines import Training, training_session
from jobs.runner.inputs import TRAINING, VALIDATION, Inputs, load_codec, read_inputs, stored_rows
from jobs.runner.patience import patiently
from jobs.runner.publish import publish
from jobs.runner.recorder import Recorder
from jobs.runner.session import StoredSave
from service.core.domain.jobs import FineTuningJob, JobStatus
from service.core.domain.models import Delta
from service.core.errors import TrainingFailed
from service.core.object_keys import step_of
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository


def train_job(attempt: Attempt) -> None:
    """From the claim to the published model.

    Raises NotYet without an engine, what ends an attempt from outside, and TrainingFailed.
    """
    inputs = read_inputs(attempt)
    with training_session(attempt, inputs) as training:
        begin(attempt, inputs.job)
        run = _Run(attempt, inputs, training, Recorder(attempt))
        for report in train(_plan(attempt, inputs, training), training.session):
            run.recorder.report(report)
            run.record_checkpoints(training.session.take_stored())
        run.record_checkpoints(training.session.wait_all_stored())
    patiently(attempt.control, run.recorder.flush)
    publish(
        attempt,
        inputs.job,
        delta=run.last_checkpoint(),
        base_digest=training.base_digest,
        reports=run.recorder.reports,
    )


def begin(attempt: Attempt, job: FineTuningJob) -> None:
    """The job runs. Raises StaleEpoch."""
    number = job.attempts + 1
    with attempt.writing() as connection:
        JobRepository(connection, attempt.scope).move(
            job.id, JobStatus.RUNNING, attempts=number, progress=None
        )
        EventRepository(connection, attempt.scope).append(job.id, [events.attempt_started(number)])


def _plan(attempt: Attempt, inputs: Inputs, training: Training) -> SupervisedPlan:
    """The rows once more, to be kept this time."""
    if inputs.job.resolved is None:
        raise TypeError(f"job {inputs.job.id} is queued without resolved hyperparameters")
    codec = load_codec(attempt, inputs.base)

    def pulse() -> None:
        attempt.control.check()
        training.session.beat()

    return SupervisedPlan(
        rows=list(
            stored_rows(
                attempt, inputs.training_file, codec, inputs.base, param=TRAINING, pulse=pulse
            )
        ),
        validation=list(
            stored_rows(
                attempt, inputs.validation_file, codec, inputs.base, param=VALIDATION, pulse=pulse
            )
        ),
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
    waiting: list[StoredSave] = field(default_factory=list)
    """Stored before the report of their step: the engine is a step ahead."""
    last: tuple[int, Delta] | None = None

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
            self.last = max(self.last or (0, delta), (step, delta), key=lambda stored: stored[0])

    def last_checkpoint(self) -> Delta:
        """Raises TrainingFailed when nothing was stored."""
        if self.last is None:
            raise TrainingFailed("The training ended without a checkpoint.")
        return self.last[1]
