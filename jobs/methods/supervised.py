"""Supervised fine-tuning: cross-entropy on what the assistant says.

The loop keeps two steps in flight: while the engine computes one, the next is already there.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from jobs.methods.batches import Batch, TokenRow, batches
from jobs.methods.reporting import StepReport, Tally
from jobs.runner.session import EngineSession
from service.core.engine_protocol import Forward, ForwardBackward, OptimStep, Save, TrainingRow
from service.core.errors import TrainingDiverged
from service.core.hyperparameters import ResolvedHyperparameters
from service.core.object_keys import step_name

_IN_FLIGHT = 2
_CHECKPOINTED_EPOCHS = 3
"""A checkpoint at the end of each of the last three epochs, as OpenAI keeps them."""
_EVALUATIONS = 20
"""Small validations over the whole job."""
_SAMPLE_ROWS = 16
_EVALUATION_ROWS = 64
"""Rows in one message to the engine when the whole validation file is measured."""


@dataclass(frozen=True)
class SupervisedPlan:
    """Everything the loop needs to know."""

    rows: Sequence[TokenRow]
    validation: Sequence[TokenRow]
    """Empty without a validation file."""
    numbers: ResolvedHyperparameters
    seed: int

    @property
    def total_steps(self) -> int:
        return self.numbers.total_steps(len(self.rows))

    @property
    def evaluation_interval(self) -> int:
        return max(1, self.total_steps // _EVALUATIONS)

    @property
    def sample(self) -> Sequence[TokenRow]:
        """The same few validation rows each time, so that their losses compare."""
        return self.validation[:_SAMPLE_ROWS]


@dataclass
class _Submitted:
    """A step that the engine has been given."""

    batch: Batch
    learning_rate: float
    training: int
    optimizer: int
    sample: list[int] = field(default_factory=list)
    full: list[int] = field(default_factory=list)
    is_saved: bool = False


def train(
    plan: SupervisedPlan,
    session: EngineSession,
    *,
    after_step: int = 0,
    is_asked_to_stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepReport]:
    """Run the job's optimizer steps; yields a report for each, and one for step 0 when there is a
    validation file. Checkpoints arrive in `session.take_stored()`, the last being the model.

    A session that was resumed has the steps up to `after_step` behind it. Asked to stop, the loop
    finishes the steps in flight and saves the last of them.

    Raises TrainingDiverged, and what the engine session raises.
    """
    if plan.validation and not after_step:
        before = Tally()
        for seq in _submit_evaluation(session, plan.validation, step=0):
            before.add(session.forward_result(seq))
        yield StepReport(0, plan.total_steps, 0.0, metrics=before.named("full_valid"))
    waiting: deque[_Submitted] = deque()
    last_end = time.monotonic()
    last: _Submitted | None = None
    for batch in batches(
        plan.rows,
        batch_size=plan.numbers.batch_size,
        n_epochs=plan.numbers.n_epochs,
        seed=plan.seed,
    ):
        if batch.step <= after_step:
            continue
        if is_asked_to_stop():
            break
        last = _submit_step(plan, session, batch)
        waiting.append(last)
        if len(waiting) == _IN_FLIGHT:
            last_end, report = _finish_step(plan, session, waiting.popleft(), last_end)
            yield report
    if last is not None and not last.is_saved:
        _submit_save(session, last.batch.step)
    while waiting:
        last_end, report = _finish_step(plan, session, waiting.popleft(), last_end)
        yield report


def _submit_save(session: EngineSession, step: int) -> None:
    """With the training state, so that a later attempt can go on from here."""
    name = step_name(step)
    session.submit(lambda seq: Save(seq=seq, name=name, parts=("adapter", "state")))
    session.flush()


def _submit_step(plan: SupervisedPlan, session: EngineSession, batch: Batch) -> _Submitted:
    rate = plan.numbers.learning_rate_at(batch.step, plan.total_steps)
    rows = tuple(row.to_message() for row in batch.rows)
    normalizer = sum(row.trained_weight for row in batch.rows)
    training = session.submit(
        lambda seq: ForwardBackward(seq=seq, step=batch.step, normalizer=normalizer, rows=rows)
    )
    optimizer = session.submit(
        lambda seq: OptimStep(
            seq=seq,
            step=batch.step,
            learning_rate=rate,
            weight_decay=plan.numbers.weight_decay,
            max_grad_norm=plan.numbers.max_grad_norm,
        )
    )
    submitted = _Submitted(batch, rate, training, optimizer)
    if plan.validation and batch.step % plan.evaluation_interval == 0:
        submitted.sample = _submit_evaluation(session, plan.sample, step=batch.step)
    if batch.last_of_epoch:
        if plan.validation:
            submitted.full = _submit_evaluation(session, plan.validation, step=batch.step)
        if batch.epoch > plan.numbers.n_epochs - _CHECKPOINTED_EPOCHS:
            _submit_save(session, batch.step)
            submitted.is_saved = True
    session.flush()
    return submitted


def _submit_evaluation(session: EngineSession, rows: Sequence[TokenRow], *, step: int) -> list[int]:
    sequence_numbers = []
    for start in range(0, len(rows), _EVALUATION_ROWS):
        part = tuple(row.to_message() for row in rows[start : start + _EVALUATION_ROWS])
        sequence_numbers.append(session.submit(partial(_forward, step=step, rows=part)))
    session.flush()
    return sequence_numbers


def _forward(seq: int, *, step: int, rows: tuple[TrainingRow, ...]) -> Forward:
    return Forward(seq=seq, step=step, normalizer=1, rows=rows)


def _finish_step(
    plan: SupervisedPlan, session: EngineSession, submitted: _Submitted, last_end: float
) -> tuple[float, StepReport]:
    training = session.forward_result(submitted.training)
    optimizer = session.optimizer_result(submitted.optimizer)
    tally = Tally()
    tally.add(training)
    step = submitted.batch.step
    if optimizer.skipped or optimizer.grad_norm is None or not math.isfinite(tally.loss):
        raise TrainingDiverged(
            f"Loss or gradient became infinite at step {step} (learning rate "
            f"{submitted.learning_rate:.3g}). Lower learning_rate_multiplier, for example to a "
            "third, and look for broken rows in the training file."
        )
    now = time.monotonic()
    metrics = tally.named("train") | {
        "learning_rate": submitted.learning_rate,
        "grad_norm": optimizer.grad_norm,
        "tokens_per_second": training.tokens / max(now - last_end, 1e-6),
    }
    for name, numbers in (("valid", submitted.sample), ("full_valid", submitted.full)):
        measured = Tally()
        for seq in numbers:
            measured.add(session.forward_result(seq))
        metrics |= measured.named(name) if numbers else {}
    epochs_done = step * plan.numbers.n_epochs / plan.total_steps
    report = StepReport(step, plan.total_steps, epochs_done, metrics, tokens=training.tokens)
    return time.monotonic(), report
