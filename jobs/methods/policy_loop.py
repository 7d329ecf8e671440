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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from jobs.methods.divergence import Divergence
from jobs.methods.evaluating import forward_all
from jobs.methods.examples import Example, to_messages
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
    RowLoss,
)

_LEARNED = ("kl", "old_kl", "entropy", "clip_fraction", "policy_loss", "value_loss", "ratio")
_TRACES = 3
_TRACE_CHARACTERS = 2000


@dataclass(frozen=True)
class Experience:
    """Answers of a rollout with what the weights that drew them make of them."""

    answers: Sequence[Answer]
    old: Sequence[RowLoss]
    reference: Sequence[RowLoss]


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
    """See `TrainingMethod.train`. Everything is saved between rollouts: within one, a resumed
    training would lack the weights that drew it. Asked to stop, it finishes the rollout."""
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
        self._saving = Saving(run.session, every_seconds=run.state_seconds)
        self._divergence = Divergence()

    def train(self) -> Iterator[StepReport]:
        run = self._run
        if self._plan.validation and not run.after_step:
            yield StepReport(0, self._total, 0.0, self._validate(0))
        wanted = self._plan.numbers.checkpoint_steps(self._total)
        last_saved = run.after_step
        for rollout in self._rollouts:
            if rollout.last_step <= run.after_step:
                continue
            if run.is_asked_to_stop():
                break
            yield from self._learn(rollout)
            if any(rollout.first_step <= step <= rollout.last_step for step in wanted):
                self._saving.save_model(rollout.last_step)
                last_saved = rollout.last_step
            else:
                self._saving.save_state_if_due(rollout.last_step)
            done = rollout.last_step
            if run.is_asked_to_stop() and last_saved != done:
                self._saving.save_model(done)
                return

    def _learn(self, rollout: Rollout) -> Iterator[StepReport]:
        began = time.monotonic()
        strategy, session = self._strategy, self._run.session
        answers = draw(
            session, self._environment, rollout.prompts, strategy.drawing, step=rollout.first_step
        )
        experience = self._look_back(answers, rollout.first_step - 1)
        rows = [
            Example((replace(answer.to_row(), extras=extras),))
            for answer, extras in zip(answers, strategy.extras(experience), strict=True)
        ]
        drawn = _told_of(experience)
        tokens = sum(example.tokens for example in rows)
        step = rollout.first_step
        for minibatch in self._minibatches(rows, rollout):
            training, metrics = self._step(step, minibatch)
            is_last = step == rollout.last_step
            details: Mapping[str, Any] = {}
            if is_last:
                metrics |= drawn | {"tokens_per_second": tokens / (time.monotonic() - began)}
                details = {"samples": _traces(answers)}
                metrics |= self._validation_of(rollout)
            epochs = step * self._plan.numbers.n_epochs / self._total
            yield StepReport(step, self._total, epochs, metrics, training.tokens, details)
            step += 1

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

    def _validation_of(self, rollout: Rollout) -> dict[str, float]:
        every = self._strategy.eval_interval or self._plan.numbers.eval_steps
        due = any(
            step % every == 0 or step == self._total
            for step in range(rollout.first_step, rollout.last_step + 1)
        )
        return self._validate(rollout.last_step) if due and self._plan.validation else {}

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


def _told_of(experience: Experience) -> dict[str, float]:
    """The rollout in numbers. KL of sampler to trainer by the estimate k3 (Schulman 2020)."""
    answers = experience.answers
    differences = [
        trained - sampled
        for answer, row in zip(answers, experience.old, strict=True)
        for sampled, trained in zip(answer.sampler_logprobs, row.logprobs, strict=True)
    ]
    rewards = [answer.reward for answer in answers]
    return {
        "train_reward_mean": statistics.fmean(rewards),
        "train_reward_std": statistics.pstdev(rewards),
        "train_completion_tokens": statistics.fmean(len(answer.tokens) for answer in answers),
        "train_cut_off": statistics.fmean(answer.reason == "length" for answer in answers),
        "sampler_trainer_kl": statistics.fmean(math.exp(d) - d - 1 for d in differences),
    }


def _traces(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return [
        {
            "line": answer.prompt.line,
            "answer": answer.text[:_TRACE_CHARACTERS],
            "reward": answer.reward,
            "tokens": len(answer.tokens),
        }
        for answer in answers[:_TRACES]
    ]
