"""Counting a job's work, with the bounds of what is not known before it runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.domain.methods import ReinforcementMethod, RlhfMethod
from service.core.estimates import (
    Bounded,
    JobWork,
    Setting,
    SizedExample,
    epochs_work,
    policy_work,
    units_of,
)
from service.core.estimates.work import with_seed

_SEEDS = range(8)


@dataclass(frozen=True)
class Counted:
    """A job's work and its numbers."""

    work: JobWork
    tokens_per_epoch: Bounded
    trained_tokens: Bounded
    steps: Bounded


def count_work(
    training: Sequence[SizedExample],
    validation: Sequence[SizedExample],
    setting: Setting,
    *,
    bound: float,
    seed: int | None,
) -> Counted:
    """`bound`: of the rows' tokens, 0 where all were counted. `seed`: the job's, if it is known."""
    if isinstance(setting.method, ReinforcementMethod | RlhfMethod):
        return _drawn(training, validation, setting, bound)
    work = epochs_work(training, validation, setting)
    steps = Bounded.within(work.steps, bound)
    if setting.numbers.unit_tokens is not None and seed is None:
        steps = _packed_steps(training, setting, steps)
    return Counted(
        work,
        Bounded.within(work.tokens_per_epoch, bound),
        Bounded.within(work.trained_tokens, bound),
        steps,
    )


def _drawn(
    prompts: Sequence[SizedExample],
    validation: Sequence[SizedExample],
    setting: Setting,
    bound: float,
) -> Counted:
    """Answers have between one token and all that are allowed."""
    half, least, most = (
        policy_work(prompts, validation, setting, answer_share=share) for share in (0.5, 0.0, 1.0)
    )

    def between(value: int, low: int, high: int) -> Bounded:
        return Bounded(value, low * (1 - bound), high * (1 + bound))

    return Counted(
        half,
        between(half.tokens_per_epoch, least.tokens_per_epoch, most.tokens_per_epoch),
        between(half.trained_tokens, least.trained_tokens, most.trained_tokens),
        Bounded.within(half.steps, bound),
    )


def _packed_steps(training: Sequence[SizedExample], setting: Setting, steps: Bounded) -> Bounded:
    """How rows are packed depends on a seed that is drawn when the job is created."""
    found = [
        setting.numbers.total_steps(len(units_of(training, with_seed(setting, seed))))
        for seed in _SEEDS
    ]
    spare = setting.numbers.n_epochs
    low, high = min(steps.low, *found) - spare, max(steps.high, *found) + spare
    return Bounded(steps.value, max(1, low), high)
