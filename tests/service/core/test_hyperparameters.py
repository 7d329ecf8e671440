"""`auto` becomes numbers; explicit numbers stay."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.domain.methods import MethodType
from service.core.domain.tunings import (
    FullTuningSpec,
    HeadTuningSpec,
    LoraTuningSpec,
    PartialTuningSpec,
    TuningSpec,
)
from service.core.errors import InvalidHyperparameter
from service.core.hyperparameters import (
    DataSizes,
    Hyperparameters,
    ResolvedHyperparameters,
    SchedulerType,
    resolve,
    unit_learning_rate,
)

METHODS: dict[MethodType, list[TuningSpec]] = {
    method: [
        LoraTuningSpec(),
        *(
            [FullTuningSpec(), PartialTuningSpec(last_n_layers=2)]
            if method not in ("reinforcement", "rlhf")
            else []
        ),
        *([HeadTuningSpec()] if method in ("classification", "reward_model") else []),
    ]
    for method in get_args(MethodType)
}
CHOICES = [(method, tuning) for method, tunings in METHODS.items() for tuning in tunings]


def resolved(
    asked: Hyperparameters,
    *,
    rows: int = 10,
    tokens: int = 1000,
    parameters: int = 135_000_000,
    method: MethodType = "supervised",
    tuning: TuningSpec | None = None,
) -> ResolvedHyperparameters:
    return resolve(
        asked,
        method=method,
        tuning=tuning,
        sizes=DataSizes(rows, tokens),
        parameters=parameters,
        context_length=2048,
    )


@given(
    rows=st.integers(1, 200_000),
    parameters=st.integers(1, 10**13),
    choice=st.sampled_from(CHOICES),
)
def test_auto_stays_within_the_published_bounds(
    rows: int, parameters: int, choice: tuple[MethodType, TuningSpec]
) -> None:
    method, tuning = choice
    numbers = resolved(
        Hyperparameters(), rows=rows, parameters=parameters, method=method, tuning=tuning
    )

    assert 1 <= numbers.batch_size <= 256
    assert 1 <= numbers.n_epochs <= 50
    assert numbers.learning_rate > 0
    assert numbers.eval_steps >= 1
    assert 1 <= numbers.n_checkpoints <= numbers.n_epochs


def test_what_is_asked_for_is_kept() -> None:
    asked = Hyperparameters(batch_size=3, n_epochs=7, learning_rate_multiplier=2.0)

    numbers = resolved(asked)

    assert (numbers.batch_size, numbers.n_epochs) == (3, 7)
    assert numbers.learning_rate == 2e-3
    assert numbers.total_steps(10) == 28


def test_a_larger_base_model_learns_in_smaller_steps() -> None:
    small, large = (
        unit_learning_rate("supervised", LoraTuningSpec(), n) for n in (135_000_000, 8_000_000_000)
    )

    assert large < small == 1e-3


def test_the_rate_follows_what_is_trained_and_an_adapter_s_scale() -> None:
    def rate(tuning: TuningSpec) -> float:
        return unit_learning_rate("supervised", tuning, 135_000_000)

    assert rate(FullTuningSpec()) < rate(PartialTuningSpec(1)) < rate(LoraTuningSpec())
    assert rate(LoraTuningSpec(rank=8, alpha=16)) == rate(LoraTuningSpec(rank=64, alpha=128))
    assert rate(LoraTuningSpec(alpha=64)) == rate(LoraTuningSpec()) / 2
    assert rate(LoraTuningSpec(use_rslora=True)) == rate(LoraTuningSpec()) / 4


def test_raw_text_is_packed_into_rows_and_other_rows_are_counted() -> None:
    text = resolved(Hyperparameters(batch_size=4, n_epochs=1), method="unsupervised", tokens=65_536)
    chat = resolved(Hyperparameters(batch_size=4, n_epochs=1), tokens=65_536)

    assert (text.packing, text.max_seq_length) == (True, 1024)
    assert (chat.packing, chat.max_seq_length) == (False, 2048)


@pytest.mark.parametrize(
    ("n_checkpoints", "steps"),
    [(1, {40}), (3, {20, 30, 40}), (4, {10, 20, 30, 40}), (8, set(range(5, 41, 5)))],
)
def test_checkpoints_end_the_last_epochs_or_are_spread_evenly(
    n_checkpoints: int, steps: set[int]
) -> None:
    asked = Hyperparameters(batch_size=1, n_epochs=4, n_checkpoints=n_checkpoints)

    assert resolved(asked).checkpoint_steps(40) == steps


def test_an_absolute_learning_rate_excludes_the_multiplier() -> None:
    asked = Hyperparameters(learning_rate=1e-3)

    assert resolved(asked).learning_rate == 1e-3
    with pytest.raises(InvalidHyperparameter):
        Hyperparameters(learning_rate=1e-3, learning_rate_multiplier=2.0)


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
