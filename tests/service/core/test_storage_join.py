"""Whatever the pieces are, the parts are such as S3 takes, and hold every byte in its place."""

from hypothesis import given
from hypothesis import strategies as st

from service.core.storage_join import MIN_PART_BYTES, StoredPiece, plan_join

SIZES = st.one_of(
    st.integers(0, 64 * 1024**2),
    st.integers(0, 9),
    st.integers(MIN_PART_BYTES - 2, MIN_PART_BYTES + 2),
)


@given(st.lists(SIZES, max_size=12))
def test_the_parts_hold_all_bytes_in_order_and_are_large_enough(sizes: list[int]) -> None:
    parts = list(plan_join([StoredPiece(str(n), size) for n, size in enumerate(sizes)]))

    read = [(r.key, byte) for part in parts for r in part.ranges for byte in (r.start, r.end)]
    expected = [(str(n), size) for n, size in enumerate(sizes) if size]
    ends: dict[str, int] = {}
    for (key, start), (_, end) in zip(read[::2], read[1::2], strict=True):
        assert start == ends.get(key, 0)
        ends[key] = end
    assert list(ends.items()) == expected
    assert all(part.bytes >= MIN_PART_BYTES for part in parts[:-1])
    assert all(part.is_copy or part.bytes < 2 * MIN_PART_BYTES for part in parts)
    assert all(len(part.ranges) == 1 for part in parts if part.is_copy)
