"""Laws out of measurements."""

import random

import pytest

from service.core.engine_protocol import Law
from service.core.estimates import Observation, fit

TRUE = (0.02, 1.5, 0.0, 0.4)


def observations(count: int, *, noise: float, seed: int = 1) -> list[Observation]:
    random_ = random.Random(seed)
    found = []
    for _ in range(count):
        features = (1.0, *(random_.uniform(0.05, 1.0) for _ in TRUE[1:]))
        value = sum(c * x for c, x in zip(TRUE, features, strict=True))
        found.append(Observation(features, value * random_.uniform(1 - noise, 1 + noise)))
    return found


def said(law: Law, observation: Observation) -> float:
    return sum(c * x for c, x in zip(law.coefficients, observation.features, strict=True))


def test_coefficients_without_noise_are_found_again() -> None:
    law = fit(observations(30, noise=0))

    assert law is not None
    assert law.coefficients == pytest.approx(TRUE, abs=2e-3)
    assert law.spread < 0.01


def test_no_coefficient_is_negative_however_the_noise_falls() -> None:
    for seed in range(20):
        law = fit(observations(8, noise=0.3, seed=seed))
        assert law is not None
        assert min(law.coefficients) >= 0


def test_nine_of_ten_measurements_that_it_has_not_seen_lie_within_the_spread() -> None:
    law = fit(observations(200, noise=0.2))

    assert law is not None
    assert 0.12 < law.spread < 0.22
    unseen = observations(500, noise=0.2, seed=2)
    held = sum(abs(o.value / said(law, o) - 1) <= law.spread for o in unseen)
    assert held >= 0.85 * len(unseen)


def test_slow_and_quick_passes_count_alike() -> None:
    small = [Observation((1.0, 0.001), 0.002)] * 10
    large = [Observation((1.0, 1.0), 1.001)] * 10

    law = fit([*small, *large])

    assert law is not None
    assert said(law, small[0]) == pytest.approx(0.002, rel=0.02)


def test_a_prior_stays_where_nothing_was_measured_and_gives_way_where_much_was() -> None:
    assert fit([], (1.0, 1.0)) == Law(coefficients=(1.0, 1.0), spread=0, observations=0)

    law = fit([Observation((10.0, 0.0), 20.0, scale=20.0)] * 5, (1.0, 1.0))

    assert law is not None
    assert law.coefficients == pytest.approx((2.0, 1.0), rel=0.01)


def test_without_measurements_and_prior_there_is_no_law() -> None:
    assert fit([]) is None
