"""Reinforcement learning from human feedback: PPO as in InstructGPT (Ouyang et al. 2022).

A reward model scores whole answers; every token pays for leaving the reference; a value head says
what is to be expected; advantages are generalised (Schulman et al. 2016) and whitened.
"""

import statistics
from collections.abc import Iterator, Sequence

from jobs.methods.experience import Experience
from jobs.methods.method import Plan, Run, TrainingMethod
from jobs.methods.policy_loop import PolicyStrategy, train_policy
from jobs.methods.reporting import StepReport
from jobs.methods.rollouts import Drawing
from service.core.domain.jobs import DataFacts
from service.core.domain.methods import RlhfMethod
from service.core.engine_protocol import HeadSpec, Policy, PolicyExtras

_LEAST_DEVIATION = 1e-6


class Rlhf(TrainingMethod):
    """Rows are prompts."""

    def __init__(self, options: RlhfMethod) -> None:
        self._options = options

    def head(self, facts: DataFacts) -> HeadSpec:
        del facts
        return HeadSpec(kind="value")

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        return train_policy(plan, run, Ppo(self._options, plan.numbers.batch_size))


class Ppo(PolicyStrategy):
    """`batch_size` counts the answers of a step."""

    report = ("logprobs", "values")

    def __init__(self, options: RlhfMethod, batch_size: int) -> None:
        self._options = options
        self.drawing = Drawing(1, options.temperature, options.max_completion_tokens)
        self.eval_drawing = self.drawing
        self.eval_interval = None
        self.loss = Policy(
            clip_low=options.clip_range,
            clip_high=options.clip_range,
            value_coefficient=options.value_coefficient,
            value_clip=options.value_clip,
        )
        self.prompts_a_rollout = options.rollout_batch_size
        self.passes = options.ppo_epochs
        self.minibatch = min(batch_size, options.rollout_batch_size)

    def extras(self, experience: Experience) -> list[PolicyExtras]:
        options = self._options
        estimates = [
            generalised_advantages(
                _token_rewards(answer.reward, old.logprobs, ref.logprobs, options.kl_coefficient),
                old.values,
                gamma=options.gamma,
                lam=options.lam,
            )
            for answer, old, ref in zip(
                experience.answers, experience.old, experience.reference, strict=True
            )
        ]
        whitened = _whitened(estimates)
        return [
            PolicyExtras(
                old_logprobs=old.logprobs,
                advantages=tuple(advantages),
                reference_logprobs=ref.logprobs,
                returns=tuple(a + v for a, v in zip(raw, old.values, strict=True)),
                old_values=old.values,
            )
            for raw, advantages, old, ref in zip(
                estimates, whitened, experience.old, experience.reference, strict=True
            )
        ]


def _token_rewards(
    reward: float, logprobs: Sequence[float], reference: Sequence[float], coefficient: float
) -> list[float]:
    """What each token costs, and at the last one what the answer is worth."""
    costs = [-coefficient * (p - q) for p, q in zip(logprobs, reference, strict=True)]
    return [*costs[:-1], costs[-1] + reward]


def generalised_advantages(
    rewards: Sequence[float], values: Sequence[float], *, gamma: float, lam: float
) -> list[float]:
    """A_t = δ_t + γλ·A_{t+1} with δ_t = r_t + γ·V_{t+1} − V_t; nothing comes after the end."""
    advantages = [0.0] * len(rewards)
    following, next_value = 0.0, 0.0
    for t in range(len(rewards) - 1, -1, -1):
        surprise = rewards[t] + gamma * next_value - values[t]
        following = surprise + gamma * lam * following
        advantages[t], next_value = following, values[t]
    return advantages


def _whitened(advantages: Sequence[Sequence[float]]) -> list[list[float]]:
    """Mean 0 and deviation 1 over all tokens of the rollout."""
    every = [x for row in advantages for x in row]
    mean, deviation = statistics.fmean(every), statistics.pstdev(every)
    return [[(x - mean) / (deviation + _LEAST_DEVIATION) for x in row] for row in advantages]
