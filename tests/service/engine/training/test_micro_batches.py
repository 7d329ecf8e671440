"""Cutting: every row once, groups whole, no micro-batch above the limit that could be cut."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from service.core.engine_protocol import ForwardBackward, TrainingRow
from service.engine.training.micro_batches import cut
from service.engine.training.session import Computation

rows_of_groups = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 40)), max_size=30)


@given(rows_of_groups, st.integers(1, 100))
def test_groups_stay_whole_and_batches_within_the_limit(
    shapes: list[tuple[int, int]], limit: int
) -> None:
    rows = [
        TrainingRow(line=i + 1, group=group, tokens=(5,) * length, weights=(0.0,) * length)
        for i, (group, length) in enumerate(shapes)
    ]

    batches = cut(rows, limit)

    assert sorted(i for batch in batches for i in batch.indices) == list(range(len(rows)))
    for batch in batches:
        assert batch.rows == tuple(rows[i] for i in batch.indices)
        groups = {row.group for row in batch.rows}
        assert batch.tokens <= limit or len(groups) == 1
        for other in batches:
            assert other is batch or groups.isdisjoint(row.group for row in other.rows)


def test_rows_fill_a_batch_in_their_order() -> None:
    rows = [
        TrainingRow(line=i, group=i, tokens=(5,) * 10, weights=(0.0,) * 10) for i in range(1, 6)
    ]

    assert [batch.indices for batch in cut(rows, 25)] == [(0, 1), (2, 3), (4,)]


def test_a_batch_holds_more_rows_that_begin_alike() -> None:
    system = tuple(range(100, 130))
    rows = [
        TrainingRow(line=i, group=i, tokens=(*system, *(5,) * i), weights=(0.0,) * (30 + i))
        for i in range(1, 6)
    ]

    assert [batch.indices for batch in cut(rows, 45)] == [(0,), (1,), (2,), (3,), (4,)]
    (shared,) = cut(rows, 45, share=True)
    assert (shared.indices, shared.tokens) == ((0, 1, 2, 3, 4), 30 + 15)


def test_what_does_not_fit_is_halved_once_and_keeps_its_places() -> None:
    rows = [make_row(line, group=line) for line in range(1, 9)]
    command = ForwardBackward(seq=1, step=0, normalizer=1, rows=tuple(rows))
    computation = Computation(command, deque(cut(rows, 100)), [None] * 8, started=0.0)

    assert computation.halve()
    assert [batch.indices for batch in computation.remaining] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert not computation.halve()


def test_a_single_group_cannot_be_halved() -> None:
    rows = [make_row(line, group=1) for line in (1, 2)]
    command = ForwardBackward(seq=1, step=0, normalizer=1, rows=tuple(rows))

    assert not Computation(command, deque(cut(rows, 100)), [None] * 2, started=0.0).halve()


def make_row(line: int, *, group: int) -> TrainingRow:
    return TrainingRow(line=line, group=group, tokens=(5,) * 4, weights=(0.0,) * 4)
