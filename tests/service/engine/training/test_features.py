"""Features are computed once a row, whatever line it stands on, and held within bounds."""

from collections.abc import Sequence

import torch

from service.engine.training.features import FeatureCache

ROWS = [(1, 2, 3), (4,), (1, 2, 3, 4)]


class Counting:
    """Gives a row its length and its first token."""

    def __init__(self) -> None:
        self.computed: list[Sequence[int]] = []

    def __call__(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        self.computed += rows
        return torch.tensor([[float(len(row)), float(row[0])] for row in rows])


def test_a_row_is_computed_once() -> None:
    compute = Counting()
    cache = FeatureCache(compute)

    first = cache.get(ROWS)
    again = cache.get([ROWS[2], ROWS[0], ROWS[0]])

    assert compute.computed == ROWS
    assert torch.equal(again, first[[2, 0, 0]])


def test_what_was_measured_can_be_trained_on() -> None:
    cache = FeatureCache(Counting())
    with torch.inference_mode():
        cache.get(ROWS)
    weight = torch.ones(2, requires_grad=True)

    (cache.get(ROWS) @ weight).sum().backward()

    assert weight.grad is not None


def test_a_full_cache_keeps_what_it_has() -> None:
    compute = Counting()
    cache = FeatureCache(compute, max_bytes=2 * 4 * 2)
    for _ in range(2):
        cache.get(ROWS)

    assert compute.computed == [*ROWS, ROWS[2]]
