"""The loop of methods that learn from their own answers: draw, reward, learn, again.

Sampler and trainer share the weights, so that nothing has to be carried between them. The old
log-probabilities are the training forward's own, measured before the first step of a rollout: the
ratio is exactly 1 there. The sampler's enter only as the metric `sampler_trainer_kl`.
"""

import itertools
import math
import random
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from jobs.methods.divergence import Divergence
from jobs.methods.evaluating import forward_all
from jobs.methods.examples import Example, to_messages
from jobs.methods.experience import Experience, told_of, traces
from jobs.methods.lessons import Lesson
from jobs.methods.method import Environment, Plan, Run
from jobs.methods.reporting import StepReport, row_mean
from jobs.methods.rollouts import Answer, Drawing, Rollout, draw, rollouts
from jobs.methods.saving import Saving
from service.core.batching import derived_seed
from service.core.engine_protocol import (
    ForwardBackward,
    ForwardDone,
    OptimStep,
    Policy,
    PolicyExtras,
    Report,
)
from service.core.errors import AdapterCorrupt

_LEARNED = ("kl", "old_kl", "entropy", "clip_fraction", "policy_loss", "value_loss", "ratio")


class PolicyStrategy(ABC):
    """What sets GRPO and PPO apart."""

    drawing: Drawing
    eval_drawing: Drawing
    eval_interval: int | None
    loss: Policy
    prompts_a_rollout: int
    passes: int
    """Over the answers of a rollout."""
    minibatch: int
    """Answers a step."""
    report: ClassVar[tuple[Report, ...]] = ("logprobs",)

    @property
    def steps_a_rollout(self) -> int:
        answers = self.prompts_a_rollout * self.drawing.per_prompt
        return self.passes * math.ceil(answers / self.minibatch)

    @abstractmethod
    def extras(self, experience: Experience) -> list[PolicyExtras]:
        """Of each answer: advantages, and what else the loss needs."""


def train_policy(plan: Plan, run: Run, strategy: PolicyStrategy) -> Iterator[StepReport]:
    """See `TrainingMethod.train`. A save within a rollout keeps the lesson that its other steps
    learn from. Asked to stop, it finishes the step.

    Raises AdapterCorrupt for a state within a rollout whose lesson is gone.
    """
    if run.environment is None:
        raise TypeError("a policy needs an environment")
    return _PolicyLoop(plan, run, strategy, run.environment).train()


class _PolicyLoop:
    def __init__(
        self, plan: Plan, run: Run, strategy: PolicyStrategy, environment: Environment
    ) -> None:
        self._plan, self._run, self._strategy = plan, run, strategy
        self._environment = environment
        self._rollouts = list(
            rollouts(
                plan.training,
                prompts_a_rollout=strategy.prompts_a_rollout,
                steps=strategy.steps_a_rollout,
                n_epochs=plan.numbers.n_epochs,
                seed=plan.seed,
            )
        )
        self._total = self._rollouts[-1].last_step
        self._checkpoints = plan.numbers.checkpoint_steps(self._total)
        self._saving = Saving(run.session, every_seconds=run.state_seconds)
        self._divergence = Divergence(run.told)
        self._saved = run.after_step
        self._is_over = False

    def train(self) -> Iterator[StepReport]:
        run = self._run
        if self._plan.validation and not run.after_step:
            yield StepReport(0, self._total, 0.0, self._validate(0))
        for rollout in self._rollouts:
            if rollout.last_step <= run.after_step:
                continue
            yield from self._learn(rollout)
            if self._is_over:
                return

    def _learn(self, rollout: Rollout) -> Iterator[StepReport]:
        began, after_step = time.monotonic(), self._run.after_step
        done = max(after_step, rollout.first_step - 1)
        if self._stops(done, rollout, None):
            return
        kept = self._kept_lesson(rollout)
        lesson = kept or self._draw(rollout)
        first = rollout.first_step
        for step, minibatch in enumerate(self._minibatches(lesson.rows, rollout), first):
            if step <= after_step:
                continue
            if self._stops(step - 1, rollout, lesson):
                return
            training, metrics = self._step(step, minibatch)
            details: dict[str, Any] = {"mixed": True} if training.is_mixed else {}
            if step == rollout.last_step:
                metrics |= lesson.metrics
                details["samples"] = lesson.samples
                if kept is None:
                    metrics["tokens_per_second"] = lesson.tokens / (time.monotonic() - began)
            metrics |= self._validation_after(step)
            self._save_after(step, rollout, lesson)
            epochs = step * self._plan.numbers.n_epochs / self._total
            yield StepReport(step, self._total, epochs, metrics, training.tokens, details)

    def _stops(self, done: int, rollout: Rollout, lesson: Lesson | None) -> bool:
        """Whether the training is asked to; then the last step is saved."""
        self._is_over = self._run.is_asked_to_stop()
        if self._is_over:
            self._save_model(done, rollout, lesson)
        return self._is_over

    def _kept_lesson(self, rollout: Rollout) -> Lesson | None:
        """What an earlier attempt has drawn for the rollout of the next step."""
        is_next = rollout.first_step <= self._run.after_step + 1
        if is_next and self._run.kept is not None:
            return Lesson.from_bytes(self._run.kept)
        if rollout.first_step <= self._run.after_step:
            raise AdapterCorrupt("the answers that the training state goes on with are gone")
        return None

    def _draw(self, rollout: Rollout) -> Lesson:
        session, strategy, step = self._run.session, self._strategy, rollout.first_step
        answers = draw(session, self._environment, rollout.prompts, strategy.drawing, step=step)
        experience = self._look_back(answers, step - 1)
        rows = [
            Example((replace(answer.to_row(), extras=extras),))
            for answer, extras in zip(answers, strategy.extras(experience), strict=True)
        ]
        return Lesson(rows, told_of(experience), traces(answers))

    def _save_after(self, step: int, rollout: Rollout, lesson: Lesson) -> None:
        if step in self._checkpoints:
            self._save_model(step, rollout, lesson)
        elif self._saving.is_state_due:
            self._keep(step, rollout, lesson)
            self._saving.save_state_if_due(step)

    def _save_model(self, step: int, rollout: Rollout, lesson: Lesson | None) -> None:
        if self._saved != step:
            self._keep(step, rollout, lesson)
            self._saving.save_model(step)
            self._saved = step

    def _keep(self, step: int, rollout: Rollout, lesson: Lesson | None) -> None:
        if step < rollout.last_step and lesson is not None:
            self._run.keep(step, lesson.to_bytes())

    def _look_back(self, answers: Sequence[Answer], step: int) -> Experience:
        rows = [Example((answer.to_row(),)) for answer in answers]
        session, strategy = self._run.session, self._strategy
        old = forward_all(session, rows, step=step, report=strategy.report)
        reference = forward_all(session, rows, step=step, report=("logprobs",), at_start=True)
        return Experience(answers, old, reference)

    def _minibatches(
        self, rows: Sequence[Example], rollout: Rollout
    ) -> Iterator[Sequence[Example]]:
        """As many for each pass as a full rollout has: the last rollout of an epoch, which may be
        smaller, is cut into smaller ones."""
        parts = self._strategy.steps_a_rollout // self._strategy.passes
        for number in range(self._strategy.passes):
            order = list(rows)
            seed = derived_seed("minibatches", self._plan.seed, rollout.first_step, number)
            random.Random(seed).shuffle(order)
            edges = [len(order) * part // parts for part in range(parts + 1)]
            for start, end in itertools.pairwise(edges):
                yield order[start:end] or order[:1]

    def _step(self, step: int, rows: Sequence[Example]) -> tuple[ForwardDone, dict[str, float]]:
        numbers, session = self._plan.numbers, self._run.session
        rate = numbers.learning_rate_at(step, self._total)
        compute = partial(
            ForwardBackward,
            step=step,
            loss=self._strategy.loss,
            normalizer=sum(example.rows[0].trained_weight for example in rows),
            rows=to_messages(rows),
        )
        apply = partial(
            OptimStep,
            step=step,
            learning_rate=rate,
            weight_decay=numbers.weight_decay,
            max_grad_norm=numbers.max_grad_norm,
        )
        first, second = session.submit(compute), session.submit(apply)
        training = session.forward_result(first)
        weight = sum(row.weight for row in training.rows)
        loss = sum(row.loss for row in training.rows) / max(weight, 1e-9)
        norm = self._divergence.check(step, loss, session.optimizer_result(second), rate)
        metrics = {"train_loss": loss, "learning_rate": rate, "grad_norm": norm}
        for name in _LEARNED:
            value = row_mean(training.rows, name)
            if value is not None:
                metrics[name] = value
        return training, metrics

    def _validation_after(self, step: int) -> dict[str, float]:
        every = self._strategy.eval_interval or self._plan.numbers.eval_steps
        is_due = step % every == 0 or step == self._total
        return self._validate(step) if is_due and self._plan.validation else {}

    def _validate(self, step: int) -> dict[str, float]:
        answers = draw(
            self._run.session,
            self._environment,
            self._plan.validation,
            self._strategy.eval_drawing,
            step=step,
        )
        return {
            "valid_reward_mean": statistics.fmean(answer.reward for answer in answers),
            "valid_completion_tokens": statistics.fmean(len(answer.tokens) for answer in answers),
        }
