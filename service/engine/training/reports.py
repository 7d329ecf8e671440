"""What a pass found of each row, as it goes to the worker."""

import math
import sys
from collections.abc import Sequence

import torch

from service.core.engine_protocol import Report, RowLoss
from service.engine.training.losses import Measured, Shares


def report_rows(
    found: Measured, shares: Shares, counts: Sequence[int], report: Sequence[Report]
) -> list[RowLoss]:
    """`counts`: positions of each row."""
    losses, weights, correct = (_list(x) for x in (shares.loss, shares.weight, shares.correct))
    metrics = {name: _list(x) for name, x in shares.metrics.items()}
    logprobs = _split(found.logprobs, counts, "logprobs" in report)
    values = _split(found.values, counts, "values" in report)
    scores = found.scores.tolist() if found.scores is not None and "scores" in report else None
    return [
        RowLoss(
            line=row.line,
            loss=losses[at],
            weight=weights[at],
            correct=round(correct[at]),
            trained_tokens=sum(weight > 0 for weight in row.weights[1:]),
            metrics={name: _finite(x[at]) for name, x in metrics.items() if not math.isnan(x[at])},
            logprobs=logprobs[at],
            values=values[at],
            scores=() if scores is None else tuple(scores[at]),
        )
        for at, row in enumerate(found.rows)
    ]


def first_not_finite(losses: Sequence[RowLoss]) -> RowLoss | None:
    """The first row that reports a NaN or an infinity, which JSON does not have."""
    for loss in losses:
        numbers = (loss.loss, *loss.logprobs, *loss.values, *loss.scores)
        if not all(map(math.isfinite, numbers)):
            return loss
    return None


def _list(x: torch.Tensor) -> list[float]:
    numbers: list[float] = x.detach().tolist()
    return numbers


def _split(
    x: torch.Tensor | None, counts: Sequence[int], wanted: bool
) -> Sequence[tuple[float, ...]]:
    """The positions of each row."""
    if x is None or not wanted:
        return [()] * len(counts)
    parts = torch.split(x.detach(), list(counts))
    return [tuple(part.tolist()) for part in parts]


def _finite(x: float) -> float:
    """A ratio may overflow where the loss is clipped and goes on."""
    return max(-sys.float_info.max, min(x, sys.float_info.max))
