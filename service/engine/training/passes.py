"""Micro-batches of one or several jobs in one pass over the base."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import RowLoss, TrainingRow
from service.engine.attention import PackedRows
from service.engine.layers import RowDropout, TrainedRuns
from service.engine.runner import BaseRunner, PackedBatch
from service.engine.training.losses import (
    TokenLosses,
    cross_entropy,
    cross_entropy_with_gradient,
)
from service.engine.training.model import TrainedModel
from service.engine.training.random_keys import generator
from service.engine.training.weights import RowWeights


@dataclass(frozen=True)
class PassPart:
    """One job's rows in a pass."""

    model: TrainedModel
    rows: tuple[TrainingRow, ...]
    normalizer: float
    seed: int
    step: int
    at_start: bool = False
    """Computed with the weights that the job began with."""

    @property
    def used(self) -> RowWeights:
        """What its rows are computed with."""
        return self.model.at_start if self.at_start else self.model.now

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)


@dataclass(frozen=True)
class PartOutcome:
    """What a pass found for one job."""

    losses: list[RowLoss]
    """In the order of the rows."""
    gradients: Sequence[torch.Tensor] | None = None
    """Of the model's leaves; None where nothing was differentiated."""


@dataclass(frozen=True)
class _Position:
    """A trained token: predicted at `row` of the batch."""

    row: int
    target: int
    weight: float


def measure(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses alone, without dropout."""
    positions = [_trained_positions(part_rows) for part_rows in _located(parts)]
    with torch.inference_mode():
        hidden = runner.hidden(_batch(runner, parts, with_dropout=False))
        index, targets = _index(runner, positions)
        losses = cross_entropy(runner.loss_head, hidden[index], targets)
    return [PartOutcome(report) for report in _report(parts, positions, losses)]


def measure_and_differentiate(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses and gradients, which are added to nothing yet."""
    positions = [_trained_positions(part_rows) for part_rows in _located(parts)]
    index, targets = _index(runner, positions)
    factors = torch.tensor(
        [
            position.weight / part.normalizer
            for part, rows in zip(parts, positions, strict=True)
            for row in rows
            for position in row
        ],
        device=runner.base.device,
    )
    with torch.enable_grad():
        hidden = runner.hidden(_batch(runner, parts, with_dropout=True))[index]
        losses, gradients = cross_entropy_with_gradient(runner.loss_head, hidden, targets, factors)
    leaves = [leaf for part in parts for leaf in part.model.weights.leaves]
    found = torch.autograd.grad(
        [hidden, *runner.loss_head.trained],
        leaves,
        gradients,
        allow_unused=True,
        materialize_grads=True,
    )
    outcomes, start = [], 0
    for part, report in zip(parts, _report(parts, positions, losses), strict=True):
        stop = start + len(part.model.weights.leaves)
        outcomes.append(PartOutcome(report, found[start:stop]))
        start = stop
    return outcomes


def _batch(runner: BaseRunner, parts: Sequence[PassPart], *, with_dropout: bool) -> PackedBatch:
    rows = [row for part in parts for row in part.rows]
    runs = tuple(
        part.used.run(part.tokens, _dropout(part, runner.base.device) if with_dropout else None)
        for part in parts
    )
    return PackedBatch(
        runner.tensor([token for row in rows for token in row.tokens]),
        runner.tensor([i for row in rows for i in range(len(row.tokens))]),
        PackedRows([len(row.tokens) for row in rows], runner.base.device),
        TrainedRuns(runs),
    )


def _dropout(part: PassPart, device: torch.device) -> RowDropout | None:
    probability = part.model.dropout
    if not probability:
        return None
    generators = [
        generator(part.seed, step=part.step, purpose="dropout", line=row.line, device=device)
        for row in part.rows
    ]
    return RowDropout(probability, [len(row.tokens) for row in part.rows], generators)


def _located(parts: Sequence[PassPart]) -> list[list[tuple[int, TrainingRow]]]:
    """Every part's rows with the place of their first token in the batch."""
    located: list[list[tuple[int, TrainingRow]]] = []
    start = 0
    for part in parts:
        located.append([])
        for row in part.rows:
            located[-1].append((start, row))
            start += len(row.tokens)
    return located


def _trained_positions(rows: Sequence[tuple[int, TrainingRow]]) -> list[list[_Position]]:
    """By row: token i is predicted from the place before it. Only a weight above zero counts."""
    return [
        [
            _Position(start + i - 1, row.tokens[i], row.weights[i])
            for i in range(1, len(row.tokens))
            if row.weights[i] > 0
        ]
        for start, row in rows
    ]


def _index(
    runner: BaseRunner, positions: Sequence[Sequence[Sequence[_Position]]]
) -> tuple[torch.Tensor, torch.Tensor]:
    flat = [position for part in positions for row in part for position in row]
    index = torch.tensor([p.row for p in flat], dtype=torch.long, device=runner.base.device)
    return index, torch.tensor(
        [p.target for p in flat], dtype=torch.long, device=runner.base.device
    )


def _report(
    parts: Sequence[PassPart],
    positions: Sequence[Sequence[Sequence[_Position]]],
    losses: TokenLosses,
) -> list[list[RowLoss]]:
    nll: list[float] = losses.nll.tolist()
    correct: list[bool] = losses.is_correct.tolist()
    reports, start = [], 0
    for part, part_positions in zip(parts, positions, strict=True):
        report = []
        for row, trained in zip(part.rows, part_positions, strict=True):
            stop = start + len(trained)
            weights = [position.weight for position in trained]
            report.append(
                RowLoss(
                    line=row.line,
                    loss=sum(w * x for w, x in zip(weights, nll[start:stop], strict=True)),
                    weight=sum(weights),
                    correct=sum(correct[start:stop]),
                    trained_tokens=len(trained),
                )
            )
            start = stop
        reports.append(report)
    return reports
