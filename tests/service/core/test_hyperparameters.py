"""`auto` becomes numbers; explicit numbers stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import InvalidHyperparameter
from service.core.hyperparameters import (
    ResolvedHyperparameters,
    SchedulerType,
    SupervisedHyperparameters,
    base_learning_rate,
    resolve,
)


@given(rows=st.integers(1, 200_000), parameters=st.integers(1, 10**13))
def test_auto_stays_within_the_published_bounds(rows: int, parameters: int) -> None:
    numbers = resolve(SupervisedHyperparameters(), rows=rows, parameters=parameters)

    assert 1 <= numbers.batch_size <= 256
    assert 1 <= numbers.n_epochs <= 50
    assert numbers.learning_rate > 0


def test_what_is_asked_for_is_kept() -> None:
    asked = SupervisedHyperparameters(batch_size=3, n_epochs=7, learning_rate_multiplier=2.0)

    numbers = resolve(asked, rows=10, parameters=135_000_000)

    assert (numbers.batch_size, numbers.n_epochs) == (3, 7)
    assert numbers.learning_rate == 2 * base_learning_rate(135_000_000)
    assert numbers.total_steps(10) == 28


def test_a_larger_base_model_learns_in_smaller_steps() -> None:
    small, large = base_learning_rate(135_000_000), base_learning_rate(8_000_000_000)

    assert large < small == 1e-3


def test_an_absolute_learning_rate_excludes_the_multiplier() -> None:
    asked = SupervisedHyperparameters(learning_rate=1e-3)

    assert resolve(asked, rows=10, parameters=135_000_000).learning_rate == 1e-3
    with pytest.raises(InvalidHyperparameter):
        SupervisedHyperparameters(learning_rate=1e-3, learning_rate_multiplier=2.0)


@given(
    total=st.integers(1, 500),
    schedule=st.sampled_from(["linear", "cosine", "constant"]),
    warmup=st.floats(0, 1),
)
def test_the_learning_rate_is_positive_at_every_step_and_never_over_the_peak(
    total: int, schedule: SchedulerType, warmup: float
) -> None:
    numbers = ResolvedHyperparameters(1, 1.0, 1, 1e-3, schedule, warmup, 0.0, 1.0)

    rates = [numbers.learning_rate_at(step, total) for step in range(1, total + 1)]

    assert all(0 < rate <= 1e-3 for rate in rates)
    assert max(rates) == pytest.approx(1e-3)
