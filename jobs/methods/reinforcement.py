"""Reinforcement fine-tuning against graders: GRPO (Shao et al. 2024).

Several answers to each prompt; an answer's advantage is how far its reward is above its group's
mean, in the group's standard deviations. One step a rollout, so that every step is on-policy; KL to
the reference is a term of the loss.
"""

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from jobs.methods.experience import Experience
from jobs.methods.method import Plan, Run, TrainingMethod
from jobs.methods.policy_loop import PolicyStrategy, train_policy
from jobs.methods.reporting import StepReport
from jobs.methods.rollouts import Drawing
from service.core.domain.methods import ReinforcementMethod
from service.core.engine_protocol import Guide, Policy, PolicyExtras

_LEAST_DEVIATION = 1e-4
"""A group of equal rewards has no advantage, and not an infinite one."""


class Reinforcement(TrainingMethod):
    """Rows are prompts, with whatever the graders look up."""

    def __init__(self, options: ReinforcementMethod) -> None:
        self._options = options

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        return train_policy(plan, run, Grpo(self._options, plan.numbers.batch_size))


class Grpo(PolicyStrategy):
    """`batch_size` counts prompts."""

    def __init__(self, options: ReinforcementMethod, batch_size: int) -> None:
        group = max(2, round(options.samples_per_prompt * options.compute_multiplier))
        self.drawing = Drawing(
            group,
            options.temperature,
            options.max_completion_tokens,
            guide_of(options.response_format),
        )
        self.eval_drawing = replace(self.drawing, per_prompt=options.eval_samples)
        self.eval_interval = options.eval_interval
        self.loss = Policy(
            clip_low=options.clip_range,
            clip_high=options.clip_range,
            kl_coefficient=options.kl_coefficient,
        )
        self.prompts_a_rollout = batch_size
        self.passes = 1
        self.minibatch = batch_size * group

    def extras(self, experience: Experience) -> list[PolicyExtras]:
        rewards = [answer.reward for answer in experience.answers]
        advantages = group_advantages(rewards, self.drawing.per_prompt)
        return [
            PolicyExtras(
                old_logprobs=old.logprobs,
                advantages=(advantage,) * len(old.logprobs),
                reference_logprobs=reference.logprobs,
            )
            for advantage, old, reference in zip(
                advantages, experience.old, experience.reference, strict=True
            )
        ]


def guide_of(form: Mapping[str, Any] | None) -> Guide | None:
    """Of a chat request's `response_format`; None where any text will do."""
    if form is None or form["type"] == "text":
        return None
    schema = (form.get("json_schema") or {}).get("schema") or {"type": "object"}
    return Guide(json_schema=json.dumps(schema))


def group_advantages(rewards: list[float], size: int) -> list[float]:
    """(reward − mean) / deviation within each `size` neighbours."""
    advantages: list[float] = []
    for start in range(0, len(rewards), size):
        group = rewards[start : start + size]
        mean, deviation = statistics.fmean(group), statistics.pstdev(group)
        advantages += [(reward - mean) / (deviation + _LEAST_DEVIATION) for reward in group]
    return advantages
