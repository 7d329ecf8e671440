"""Rows that begin alike are packed with their beginning once."""

from hypothesis import given
from hypothesis import strategies as st

from service.core.shared_beginnings import share_groups
from service.engine.training.packing import Packing

SYSTEM = tuple(range(100, 130))


@st.composite
def _rows(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Rows out of a few beginnings, so that many share."""
    beginnings = draw(st.lists(st.lists(st.integers(0, 2), max_size=40), min_size=1, max_size=3))
    tails = st.lists(st.integers(0, 2), min_size=1, max_size=12)
    count = draw(st.integers(1, 8))
    return [tuple(draw(st.sampled_from(beginnings)) + draw(tails)) for _ in range(count)]


def _seen(packing: Packing, row: int) -> list[int]:
    """The packed rows that the last token of a row sees, by way of its sequence."""
    starts = [sum(packing.lengths[:i]) for i in range(len(packing.lengths))]
    place = packing.places[row]
    sequence = starts.index(place.start)
    prefix = packing.prefixes[sequence]
    own = list(range(place.start, place.start + packing.lengths[sequence]))
    if prefix is None:
        return own
    return [*range(starts[prefix], starts[prefix] + packing.lengths[prefix]), *own]


@given(_rows(), st.booleans())
def test_every_row_can_be_read_back_from_where_it_is_said_to_lie(
    rows: list[tuple[int, ...]], share: bool
) -> None:
    packing = Packing()
    packing.add(rows, share=share)

    for index, row in enumerate(rows):
        places = [packing.places[index].of(token) for token in range(len(row))]
        assert tuple(packing.tokens[place] for place in places) == row
        assert [packing.positions[place] for place in places] == list(range(len(row)))
        assert _seen(packing, index) == places


@given(_rows())
def test_sharing_never_makes_more_tokens_and_a_prefix_stands_alone(
    rows: list[tuple[int, ...]],
) -> None:
    packing = Packing()
    added = packing.add(rows, share=True)

    assert added == len(packing.tokens) <= sum(map(len, rows))
    assert all(p is None or packing.prefixes[p] is None for p in packing.prefixes)
    assert all(packing.lengths)


def test_a_common_system_prompt_is_packed_once() -> None:
    rows = [(*SYSTEM, 1, 2), (*SYSTEM, 3), (*SYSTEM, 4, 5, 6)]

    (group,) = share_groups(rows)

    assert (group.members, group.prefix_length) == ((0, 1, 2), len(SYSTEM))


def test_pairs_of_long_prompts_share_more_than_all_rows_together() -> None:
    first, second = (*SYSTEM, *range(200, 260)), (*SYSTEM, *range(300, 360))
    rows = [(*first, 1), (*second, 1), (*first, 2), (*second, 2)]

    groups = share_groups(rows)

    assert [group.members for group in groups] == [(0, 2), (1, 3)]
    assert [group.prefix_length for group in groups] == [len(first), len(second)]


def test_a_short_common_beginning_is_not_worth_it() -> None:
    assert all(not g.prefix_length for g in share_groups([(1, 2, 3), (1, 2, 4)]))


def test_rows_of_one_call_do_not_share_with_those_of_another() -> None:
    packing = Packing()
    packing.add([(*SYSTEM, 1)], share=True)
    packing.add([(*SYSTEM, 1)], share=True)

    assert len(packing.tokens) == 2 * (len(SYSTEM) + 1)
