"""Patience counts evaluations, and decides the same after a resumption."""

from jobs.methods.early_stopping import EarlyStopping
from jobs.methods.reporting import StepReport

LOSSES = [3.0, 2.0, 2.5, 1.9, 2.1, 2.2]


def reports() -> list[StepReport]:
    told = [
        StepReport(step, 10, 0.0, {"full_valid_loss": loss})
        for step, loss in enumerate(LOSSES, start=1)
    ]
    return [StepReport(0, 10, 0.0, {"full_valid_loss": 0.1}), *told, StepReport(7, 10, 0.0, {})]


def test_it_is_over_after_so_many_evaluations_without_a_better_one() -> None:
    stopping = EarlyStopping(2)
    over = []
    for report in reports():
        stopping.take_in(report)
        over.append(stopping.is_over)

    assert over == [False] * 6 + [True] * 2
    assert stopping.is_best(4)
    assert EarlyStopping(2, reports()).is_over


def test_without_patience_it_never_is() -> None:
    assert not EarlyStopping(None, reports()).is_over
