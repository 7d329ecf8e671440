"""`auto` becomes numbers; explicit numbers stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import InvalidHyperparameter
from service.core.hyperparameters import (
    BASE_LEARNING_RATE,
    ResolvedHyperparameters,
    SchedulerType,
    SupervisedHyperparameters,
    resolve,
)


@given(rows=st.integers(1, 200_000))
def test_auto_stays_within_the_published_bounds(rows: int) -> None:
    numbers = resolve(SupervisedHyperparameters(), rows=rows)

    assert 1 <= numbers.batch_size <= 256
    assert 1 <= numbers.n_epochs <= 50
    assert numbers.learning_rate > 0


def test_what_is_asked_for_is_kept() -> None:
    asked = SupervisedHyperparameters(batch_size=3, n_epochs=7, learning_rate_multiplier=2.0)

    numbers = resolve(asked, rows=10)

    assert (numbers.batch_size, numbers.n_epochs) == (3, 7)
    assert numbers.learning_rate == 2 * BASE_LEARNING_RATE
    assert numbers.total_steps(10) == 28


def test_an_absolute_learning_rate_excludes_the_multiplier() -> None:
    assert resolve(SupervisedHyperparameters(learning_rate=1e-3), rows=10).learning_rate == 1e-3
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
