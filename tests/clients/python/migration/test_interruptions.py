"""Cut off at any call, with or without its notes: a rerun duplicates nothing and loses nothing."""

from collections.abc import Iterator
from itertools import count
from typing import Any, Literal

import pytest

from tests.clients.python.migration.mover import Cut, Scissors, Workplace
from tests.fakes.openai_source import RunningSource, acme, running_source
from tunery.migration import CaptureOptions

Where = Literal["before", "after", "during"]
WAYS: list[Where] = ["before", "after", "during"]
ONE_JOB = {"only_jobs": frozenset({"ftjob-first"})}
CAPTURE = {**ONE_JOB, "capture": CaptureOptions(held_out=0.1, concurrency=1)}
_LEAST_CALLS = 20
"""Of a migration."""


@pytest.fixture(scope="module")
def source() -> Iterator[RunningSource]:
    with running_source(acme(), limit_every=9) as running:
        yield running


@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("keeps_folder", [True, False], ids=["notes-kept", "notes-lost"])
def test_cut_at_any_call_a_rerun_ends_as_if_nothing_had_happened(
    workplace: Workplace,
    source: RunningSource,
    where: Where,
    keeps_folder: bool,
) -> None:
    """Each call in one of the six ways; the slow test has more of them."""
    way = 2 * WAYS.index(where) + keeps_folder
    for_each_call(workplace, source, where, keeps_folder, first=1 + way, step=6, **ONE_JOB)


@pytest.mark.slow
@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("keeps_folder", [True, False], ids=["notes-kept", "notes-lost"])
@pytest.mark.parametrize("options", [{}, CAPTURE], ids=["data-sets", "captured"])
def test_cut_at_any_call_in_two_ways_a_rerun_ends_as_if_nothing_had_happened(
    workplace: Workplace,
    source: RunningSource,
    where: Where,
    keeps_folder: bool,
    options: dict[str, Any],
) -> None:
    way = 2 * WAYS.index(where) + keeps_folder
    for_each_call(workplace, source, where, keeps_folder, first=1 + way % 3, step=3, **options)


def for_each_call(
    workplace: Workplace,
    source: RunningSource,
    where: Where,
    keeps_folder: bool,
    *,
    first: int,
    step: int,
    **options: Any,
) -> None:
    workplace.migrate(source, **options)
    expected = workplace.end_state()
    assert expected["jobs"]

    for at in count(first, step):  # until there is no such call; a retry makes one more
        cut_off = workplace.another()
        try:
            cut_off.migrate(source, Scissors(at, where), **options)
        except Cut:
            if not keeps_folder:
                cut_off.lose_folder()
            cut_off.migrate(source, **options)
        else:
            assert at > _LEAST_CALLS
            break
        assert cut_off.end_state() == expected, f"cut {where} call {at}"


def test_notes_that_were_half_written_are_the_old_ones(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.migrate(source)
    expected = workplace.end_state()
    (workplace.folder / "state.new").write_text('{"source": ')

    workplace.migrate(source)

    assert workplace.end_state() == expected
