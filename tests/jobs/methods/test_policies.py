"""Advantages: of a group, and generalised over time."""

import pytest

from jobs.methods.reinforcement import group_advantages
from jobs.methods.rlhf import generalised_advantages


def test_a_group_is_measured_by_its_own_mean_and_deviation() -> None:
    advantages = group_advantages([0.0, 2.0, 5.0, 5.0], 2)

    assert advantages == pytest.approx([-1, 1, 0, 0], abs=1e-3)


def test_with_lambda_one_an_advantage_is_the_return_less_the_value() -> None:
    rewards, values = [1.0, 2.0, 4.0], [0.5, -1.0, 3.0]

    advantages = generalised_advantages(rewards, values, gamma=0.5, lam=1.0)

    returns = [1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4.0]
    assert advantages == pytest.approx([r - v for r, v in zip(returns, values, strict=True)])


def test_with_lambda_zero_it_looks_one_step_ahead() -> None:
    advantages = generalised_advantages([1.0, 2.0], [0.5, -1.0], gamma=0.9, lam=0.0)

    assert advantages == pytest.approx([1 + 0.9 * -1.0 - 0.5, 2.0 + 1.0])
