"""Sampling: draws follow the distribution and depend on seed and position alone."""

from collections import Counter

import pytest
import torch

from service.engine.generation.sampling import Draw, sample

LOGITS = torch.tensor([2.0, 0.0, 1.0, -1.0, -5.0]).repeat(100)[None] - 4.0


def draw(temperature: float = 1.0, top_p: float = 1.0, seed: int = 0, position: int = 0) -> Draw:
    return Draw(temperature, top_p, seed, position)


def test_zero_temperature_takes_the_likeliest() -> None:
    logits = torch.randn(5, 300)

    assert sample(logits, [draw(temperature=0)] * 5) == logits.argmax(-1).tolist()


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_a_draw_does_not_depend_on_its_neighbours(top_p: float) -> None:
    logits = torch.randn(6, 3000)
    draws = [draw(0.8, top_p, seed, 3) for seed in range(6)]
    others = [draw(0, 1), *draws[1:3], draw(1.5, 0.2), draws[4], draw(2, 1)]

    together, mixed = sample(logits, draws), sample(logits, others)

    for row in (1, 2, 4):
        assert together[row] == mixed[row] == sample(logits[row : row + 1], [draws[row]])[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5, 1e-9])
def test_draws_follow_the_distribution(temperature: float, top_p: float) -> None:
    logits = torch.tensor([1.5, 0.0, 2.0, -1.0, 1.0])
    count = 4000
    draws = [draw(temperature, top_p, seed=9, position=i) for i in range(count)]

    seen = Counter(sample(logits.expand(count, -1), draws))

    ordered, tokens = torch.softmax(logits / temperature, 0).sort(descending=True)
    kept = torch.where(ordered.cumsum(0) - ordered < top_p, ordered, 0)
    for token, share in zip(tokens.tolist(), (kept / kept.sum()).tolist(), strict=True):
        assert seen[token] / count == pytest.approx(share, abs=0.03)
        assert share > 0 or not seen[token]


def test_a_flat_distribution_needs_more_than_the_first_candidates() -> None:
    logits = torch.zeros(200, 5000)

    seen = sample(logits, [draw(1, 0.99, seed) for seed in range(200)])

    assert len(set(seen)) > 150


def test_numbers_that_are_not_finite_give_no_token() -> None:
    logits = torch.randn(4, 50)
    logits[1, 7] = float("nan")
    logits[2, 7] = float("inf")
    logits[3, 7] = float("-inf")

    for options in (draw(0), draw(1), draw(1, 0.5)):
        tokens = sample(logits, [options] * 4)
        assert [token is None for token in tokens] == [False, True, True, False]
