"""Packing counts tokens and keeps every example whole; batches are a function of the seed."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.methods.batches import batches
from jobs.methods.examples import Example, TokenRow, pack, single, to_messages


def example(line: int, tokens: int) -> Example:
    return Example((TokenRow.of(line, [1] * tokens, [0.0] + [1.0] * (tokens - 1)),))


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=60), seed=st.integers(0, 5))
def test_packing_keeps_every_example_and_the_limit(sizes: list[int], seed: int) -> None:
    examples = [example(line, size) for line, size in enumerate(sizes, start=1)]

    units = pack(examples, tokens=20, seed=seed)

    assert sorted(e.line for unit in units for e in unit) == list(range(1, len(sizes) + 1))
    assert all(sum(e.tokens for e in unit) <= 20 for unit in units)
    assert units == pack(examples, tokens=20, seed=seed)


def test_every_unit_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    units = single([example(line, 2) for line in range(1, 11)])

    steps = list(batches(units, batch_size=4, n_epochs=2, seed=3))

    first, second = (
        [e.line for batch in steps if batch.epoch == epoch for e in batch.examples]
        for epoch in (1, 2)
    )
    assert [batch.step for batch in steps] == [1, 2, 3, 4, 5, 6]
    assert [batch.last_of_epoch for batch in steps] == [False, False, True] * 2
    assert sorted(first) == sorted(second) == list(range(1, 11))
    assert first != second


def test_only_rows_of_an_example_share_a_group() -> None:
    pair = Example((TokenRow.of(7, [1, 2], [0, 1]), TokenRow.of(7, [1, 3], [0, 1])))

    rows = to_messages([example(7, 2), pair])

    assert [(row.line, row.group) for row in rows] == [(7, 0), (7, 1), (7, 1)]
