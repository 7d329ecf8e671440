"""The ledger finds what it was told, by line and epoch, and the lines that do not belong."""

import pytest

from service.core.ledger import Ledger, hardest, never_learnt, suspicious


def ledger() -> Ledger:
    found = Ledger()
    for epoch, factor in ((1, 1.0), (2, 0.5), (3, 0.1)):
        found.add(epoch, [(line, factor * (1 + line / 100), 1.0) for line in range(1, 21)])
        found.add(epoch, [(21, 3.0, 1.0)])  # never gets better
    return found


def test_losses_are_means_by_weight_and_survive_storage() -> None:
    found = Ledger()
    found.add(1, [(4, 2.0, 1.0), (4, 4.0, 3.0)])
    found.add(2, [(4, 1.0, 1.0), (9, 5.0, 2.0), (-3, 1.0, 1.0), (5, 0.0, 0.0)])
    found.add(2, [(6, float("nan"), 1.0)])

    lines = Ledger.from_bytes(found.to_bytes()).lines()

    assert [line.line for line in lines] == [4, 9]
    assert lines[0].losses == pytest.approx((1.5, 1.0))
    assert lines[1].losses == (None, 2.5)


def test_the_hardest_the_never_learnt_and_the_suspicious_are_told_apart() -> None:
    lines = ledger().lines()

    assert [line.line for line in hardest(lines)][:3] == [21, 20, 19]
    assert [line.line for line in never_learnt(lines)] == [21]
    assert [line.line for line in suspicious(lines)] == [21]


def test_an_even_file_has_nothing_suspicious() -> None:
    even = Ledger()
    even.add(1, [(line, 1.0, 1.0) for line in range(1, 10)])

    assert suspicious(even.lines()) == []
