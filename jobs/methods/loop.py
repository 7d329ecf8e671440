"""The epochs that most methods share: batches, evaluations, checkpoints, early stopping.

Two steps are in flight: while the engine computes one, the next is already there. Only where an
evaluation decides what is saved does the loop wait for it before it goes on.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from jobs.methods.batches import Batch, batches
from jobs.methods.divergence import Divergence
from jobs.methods.early_stopping import EarlyStopping
from jobs.methods.evaluating import collect_forwards, submit_forwards
from jobs.methods.examples import Example, Unit, pack, single
from jobs.methods.method import Objective, Plan, Run
from jobs.methods.reporting import StepReport
from jobs.methods.saving import Saving
from jobs.methods.steps import StepSender, SubmittedStep

_IN_FLIGHT = 2
_SAMPLE_EXAMPLES = 16
"""Of the validation file, the same each time, so that their losses compare."""


def train(plan: Plan, run: Run, objective: Objective) -> Iterator[StepReport]:
    """See `TrainingMethod.train`. Asked to stop, the loop finishes the steps in flight and saves
    the last of them. Of several checkpoints the one with the lowest `full_valid_loss` is the model
    if there is early stopping, else the last."""
    return _Loop(plan, run, objective).train()


class _Loop:
    def __init__(self, plan: Plan, run: Run, objective: Objective) -> None:
        self._plan, self._run, self._objective = plan, run, objective
        numbers = plan.numbers
        self._units = _units(plan)
        self._total = numbers.total_steps(len(self._units))
        self._checkpoints = numbers.checkpoint_steps(self._total)
        self._sender = StepSender(run.session, numbers, objective, self._total)
        self._saving = Saving(run.session, every_seconds=run.state_seconds)
        self._divergence = Divergence(run.told)
        self._stopping = EarlyStopping(numbers.early_stopping_patience, run.told)
        self._last_end = time.monotonic()

    def train(self) -> Iterator[StepReport]:
        run = self._run
        if self._plan.validation and not run.after_step:
            yield self._before()
        waiting: deque[SubmittedStep] = deque()
        last: SubmittedStep | None = None
        for batch in self._batches():
            if run.is_asked_to_stop() or self._stopping.is_over:
                break
            last = self._submit(batch)
            waiting.append(last)
            is_decisive = self._is_decisive(batch)
            while len(waiting) >= (1 if is_decisive else _IN_FLIGHT):
                yield self._finish(waiting.popleft())
            if is_decisive:
                self._save_as_measured(last)
        if last is not None and not last.is_saved and not self._stopping.is_over:
            self._saving.save_model(last.batch.step)
        while waiting:
            yield self._finish(waiting.popleft())

    def _batches(self) -> Iterator[Batch]:
        numbers = self._plan.numbers
        for batch in batches(
            self._units,
            batch_size=numbers.batch_size,
            n_epochs=numbers.n_epochs,
            seed=self._plan.seed,
        ):
            if batch.step > self._run.after_step:
                yield batch

    def _submit(self, batch: Batch) -> SubmittedStep:
        step = self._sender.send(batch)
        if self._plan.validation:
            if batch.step % self._plan.numbers.eval_steps == 0:
                step.sample = self._evaluate(self._plan.validation[:_SAMPLE_EXAMPLES], batch.step)
            if self._is_measured_in_full(batch):
                step.full = self._evaluate(self._plan.validation, batch.step)
        if batch.step in self._checkpoints and not self._is_decisive(batch):
            self._saving.save_model(batch.step)
            step.is_saved = True
        elif not self._is_decisive(batch):
            self._saving.save_state_if_due(batch.step)
        self._run.session.flush()
        return step

    def _is_measured_in_full(self, batch: Batch) -> bool:
        if batch.last_of_epoch or batch.step == self._total:
            return True
        if self._stopping.is_wanted and batch.step % self._plan.numbers.eval_steps == 0:
            return True
        return self._objective.is_calibrated and batch.step in self._checkpoints

    def _is_decisive(self, batch: Batch) -> bool:
        """Whether the step's evaluation says if or how its weights are saved."""
        if not self._plan.validation or not self._is_measured_in_full(batch):
            return False
        is_calibrating = self._objective.is_calibrated and batch.step in self._checkpoints
        return self._stopping.is_wanted or is_calibrating

    def _save_as_measured(self, step: SubmittedStep) -> None:
        number = step.batch.step
        if number in self._checkpoints or self._stopping.is_best(number):
            temperature = self._objective.calibrate(self._plan.validation, step.evaluation)
            self._saving.save_model(number, temperature=temperature)
            step.is_saved = True

    def _evaluate(self, examples: Sequence[Example], step: int) -> list[int]:
        objective = self._objective
        return submit_forwards(
            self._run.session, examples, step=step, loss=objective.loss, report=objective.report
        )

    def _before(self) -> StepReport:
        examples = self._plan.validation
        rows = collect_forwards(self._run.session, self._evaluate(examples, 0))
        measured = self._objective.measure(examples, rows)
        return StepReport(0, self._total, 0.0, measured.named("full_valid"))

    def _finish(self, step: SubmittedStep) -> StepReport:
        session, objective = self._run.session, self._objective
        training = session.forward_result(step.training)
        optimizer = session.optimizer_result(step.optimizer)
        measured = objective.measure(step.batch.examples, training.rows)
        grad_norm = self._divergence.check(
            step.batch.step, measured.metrics["loss"], optimizer, step.learning_rate
        )
        now = time.monotonic()
        metrics = measured.named("train") | {
            "learning_rate": step.learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": training.tokens / max(now - self._last_end, 1e-6),
        }
        details: dict[str, Any] = {"mixed": True} if training.is_mixed else {}
        if step.sample:
            sample = self._plan.validation[:_SAMPLE_EXAMPLES]
            found = objective.measure(sample, collect_forwards(session, step.sample))
            metrics |= found.named("valid")
        if step.full:
            step.evaluation = collect_forwards(session, step.full)
            found = objective.measure(self._plan.validation, step.evaluation)
            metrics |= found.named("full_valid")
            details |= found.details
        number = step.batch.step
        report = StepReport(
            number,
            self._total,
            number * self._plan.numbers.n_epochs / self._total,
            metrics,
            tokens=training.tokens,
            details=details,
            rows=training.rows,
            epoch_number=step.batch.epoch,
        )
        self._stopping.take_in(report)
        self._last_end = time.monotonic()
        return report


def _units(plan: Plan) -> list[Unit]:
    limit = plan.numbers.unit_tokens
    if limit is not None:
        return pack(plan.training, tokens=limit, seed=plan.seed)
    return single(plan.training)
