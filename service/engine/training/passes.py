"""Micro-batches of one or several jobs in one pass over the base."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import RowLoss, TrainingRow
from service.engine.attention import PackedRows
from service.engine.layers import RowDropout, TrainedRun, TrainedRuns
from service.engine.runner import BaseRunner, PackedBatch
from service.engine.training.adapter import TrainedAdapter
from service.engine.training.losses import (
    TokenLosses,
    cross_entropy,
    cross_entropy_with_gradient,
)
from service.engine.training.packing import Packing, RowPlace
from service.engine.training.random_keys import generator


@dataclass(frozen=True)
class PassPart:
    """One job's rows in a pass."""

    adapter: TrainedAdapter
    rows: tuple[TrainingRow, ...]
    normalizer: float
    seed: int
    step: int

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)


@dataclass(frozen=True)
class PartOutcome:
    """What a pass found for one job."""

    losses: list[RowLoss]
    """In the order of the rows."""
    gradients: Sequence[torch.Tensor] | None = None
    """Of the adapter's leaves; None where nothing was differentiated."""


@dataclass(frozen=True)
class _Position:
    """A trained token: predicted at `row` of the batch."""

    row: int
    target: int
    weight: float


def measure(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses alone, without dropout."""
    packed = _pack(parts, with_dropout=False)
    positions = [
        _trained_positions(places, part.rows)
        for places, part in zip(packed.places, parts, strict=True)
    ]
    with torch.inference_mode():
        hidden = runner.hidden(_batch(runner, packed))
        index, targets = _index(runner, positions)
        losses = cross_entropy(runner.loss_head, hidden[index], targets)
    return [PartOutcome(report) for report in _report(parts, positions, losses)]


def measure_and_differentiate(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses and gradients, which are added to nothing yet."""
    packed = _pack(parts, with_dropout=True)
    positions = [
        _trained_positions(places, part.rows)
        for places, part in zip(packed.places, parts, strict=True)
    ]
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
        hidden = runner.hidden(_batch(runner, packed))[index]
        losses, gradient = cross_entropy_with_gradient(runner.loss_head, hidden, targets, factors)
    leaves = [leaf for part in parts for leaf in part.adapter.leaves]
    found = torch.autograd.grad(hidden, leaves, gradient, allow_unused=True, materialize_grads=True)
    outcomes, start = [], 0
    for part, report in zip(parts, _report(parts, positions, losses), strict=True):
        stop = start + len(part.adapter.leaves)
        outcomes.append(PartOutcome(report, found[start:stop]))
        start = stop
    return outcomes


@dataclass(frozen=True)
class _Packed:
    """The rows of all parts in one line."""

    packing: Packing
    parts: Sequence[PassPart]
    tokens: Sequence[int]
    """Computed for each part."""
    places: Sequence[Sequence[RowPlace]]
    """Of each part's rows."""
    with_dropout: bool


def _pack(parts: Sequence[PassPart], *, with_dropout: bool) -> _Packed:
    """Rows share their beginnings within a job, unless each row's dropout is its own."""
    packing, tokens, places = Packing(), [], []
    for part in parts:
        share = not (with_dropout and part.adapter.tuning.dropout)
        tokens.append(packing.add([row.tokens for row in part.rows], share=share))
        places.append(packing.places[-len(part.rows) :])
    return _Packed(packing, parts, tokens, places, with_dropout)


def _batch(runner: BaseRunner, packed: _Packed) -> PackedBatch:
    packing, device = packed.packing, runner.base.device
    runs = tuple(
        TrainedRun(
            tokens,
            part.adapter.factors,
            part.adapter.scaling,
            _dropout(part, device) if packed.with_dropout else None,
        )
        for part, tokens in zip(packed.parts, packed.tokens, strict=True)
    )
    return PackedBatch(
        runner.tensor(packing.tokens),
        runner.tensor(packing.positions),
        PackedRows(packing.lengths, device, packing.prefixes),
        TrainedRuns(runs),
    )


def _dropout(part: PassPart, device: torch.device) -> RowDropout | None:
    probability = part.adapter.tuning.dropout
    if not probability:
        return None
    generators = [
        generator(part.seed, step=part.step, purpose="dropout", line=row.line, device=device)
        for row in part.rows
    ]
    return RowDropout(probability, [len(row.tokens) for row in part.rows], generators)


def _trained_positions(
    places: Sequence[RowPlace], rows: Sequence[TrainingRow]
) -> list[list[_Position]]:
    """By row: token i is predicted from the place before it. Only a weight above zero counts."""
    return [
        [
            _Position(place.of(i - 1), row.tokens[i], row.weights[i])
            for i in range(1, len(row.tokens))
            if row.weights[i] > 0
        ]
        for place, row in zip(places, rows, strict=True)
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
