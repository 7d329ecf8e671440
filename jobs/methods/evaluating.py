"""Measuring examples without training on them, in pieces that fit a message."""

from collections.abc import Sequence
from functools import partial

from jobs.methods.examples import Example, to_messages
from jobs.runner.session import EngineSession
from service.core.engine_protocol import CrossEntropy, Forward, Loss, Report, RowLoss

_EXAMPLES = 64
"""In one command."""


def submit_forwards(
    session: EngineSession,
    examples: Sequence[Example],
    *,
    step: int,
    loss: Loss | None = None,
    report: tuple[Report, ...] = (),
    at_start: bool = False,
) -> list[int]:
    """Ask for the measurement; the numbers of the commands."""
    sequence_numbers = []
    for start in range(0, len(examples), _EXAMPLES):
        build = partial(
            Forward,
            step=step,
            loss=loss or CrossEntropy(),
            normalizer=1,
            rows=to_messages(examples[start : start + _EXAMPLES]),
            report=report,
            at_start=at_start,
        )
        sequence_numbers.append(session.submit(build))
        session.flush()
    return sequence_numbers


def collect_forwards(session: EngineSession, sequence_numbers: Sequence[int]) -> list[RowLoss]:
    """Wait for it: what each row gave, in the order of the examples' rows."""
    return [row for seq in sequence_numbers for row in session.forward_result(seq).rows]


def forward_all(
    session: EngineSession,
    examples: Sequence[Example],
    *,
    step: int,
    loss: Loss | None = None,
    report: tuple[Report, ...] = (),
    at_start: bool = False,
) -> list[RowLoss]:
    """Both at once."""
    numbers = submit_forwards(
        session, examples, step=step, loss=loss, report=report, at_start=at_start
    )
    return collect_forwards(session, numbers)
