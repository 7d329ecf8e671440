"""Lines out of chunks: the same lines with the same numbers however the chunks fall."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.datasets.lines import LineTooLong, numbered_lines

contents = st.lists(st.sampled_from([b"a", b"{}", b"\xff", b"\0", b" ", b"\r", b"\n", b"\r\n"]))


def cut(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Chunks of these sizes, then the rest."""
    start = 0
    for size in sizes:
        yield content[start : start + size]
        start += size
    yield content[start:]


@given(content=contents.map(b"".join), sizes=st.lists(st.integers(0, 5)))
def test_any_chunking_gives_the_numbered_lines_that_are_not_blank(
    content: bytes, sizes: list[int]
) -> None:
    expected = [
        (number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()
    ]

    assert list(numbered_lines(cut(content, sizes))) == expected


@given(length=st.integers(0, 20), limit=st.integers(1, 20), sizes=st.lists(st.integers(0, 7)))
def test_a_line_over_the_limit_is_refused_and_no_other(
    length: int, limit: int, sizes: list[int]
) -> None:
    content = b"a\n" + b"b" * length + b"\nc"

    if length > limit:
        with pytest.raises(LineTooLong) as caught:
            list(numbered_lines(cut(content, sizes), max_line_bytes=limit))
        assert (caught.value.line, caught.value.limit_bytes) == (2, limit)
    else:
        lines = list(numbered_lines(cut(content, sizes), max_line_bytes=limit))
        assert [line for _, line in lines] == [b"a", *([b"b" * length] if length else []), b"c"]


def test_a_line_of_ten_gigabytes_is_refused_before_it_fills_the_memory() -> None:
    chunk = b"x" * 1024**2
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10 * 1024):
            taken += 1
            yield chunk

    tracemalloc.start()
    with pytest.raises(LineTooLong):
        list(numbered_lines(endless()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken == 17  # the limit is 16 MiB
    assert peak < 40 * 1024**2


def test_many_short_lines_leave_nothing_behind() -> None:
    tracemalloc.start()
    number = sum(1 for _ in numbered_lines(b"x" * 1000 + b"\n" for _ in range(20_000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert number == 20_000
    assert peak < 1024**2
