"""Rows of adapters in training: products that autograd follows, with dropout per row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from service.engine.layers.dora import Magnitude


class TrainedFactors(NamedTuple):
    """One layer's factors in the base's dtype."""

    a: torch.Tensor
    """(rank, in_features)"""
    b: torch.Tensor
    """(out_features, rank)"""
    magnitude: Magnitude | None = None
    """Of a DoRA."""


class RowDropout:
    """Dropout masks for consecutive data rows, each from a generator of its own.

    A row's masks depend on its generator's seed and on the order in which the layers ask, which
    is the model's; neither micro-batches nor neighbours change them.
    """

    def __init__(
        self, probability: float, lengths: Sequence[int], generators: Sequence[torch.Generator]
    ) -> None:
        self._keep = 1 - probability
        self._rows = tuple(zip(lengths, generators, strict=True))

    def states(self) -> list[torch.Tensor]:
        """Where the generators stand."""
        return [generator.get_state() for _, generator in self._rows]

    def restore(self, states: list[torch.Tensor]) -> None:
        """Put them back there, to draw the same masks again."""
        for (_, generator), state in zip(self._rows, states, strict=True):
            generator.set_state(state)

    def draw(self, x: torch.Tensor) -> torch.Tensor:
        """The next mask for `x` (tokens of all rows, features): what is kept."""
        kept = [
            torch.rand(length, x.shape[1], generator=generator, device=x.device) < self._keep
            for length, generator in self._rows
        ]
        return torch.cat(kept)

    def drop(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """`x` with dropped entries, the rest scaled up. Its gradient is dropped alike."""
        return torch.where(kept, x / self._keep, 0)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Draw and drop."""
        return self.drop(x, self.draw(x))


@dataclass(frozen=True)
class TrainedRun:
    """Consecutive rows of the batch that belong to one job."""

    length: int
    factors: Mapping[str, TrainedFactors]
    scaling: float
    dropout: RowDropout | None = None
    below: "TrainedRun | None" = None
    """A frozen adapter that these factors were trained on top of, over the same rows."""

    @property
    def stack(self) -> "tuple[TrainedRun, ...]":
        """From the lowest to this one, in the order in which they add to the base."""
        return (self,) if self.below is None else (*self.below.stack, self)

    @property
    def is_plain(self) -> bool:
        """Low-rank products and nothing else, all the way down."""
        return all(pair.magnitude is None for run in self.stack for pair in run.factors.values())


@dataclass(frozen=True)
class TrainedRuns:
    """A RowPlan whose runs cover the batch from its first row to its last."""

    runs: tuple[TrainedRun, ...]

    @property
    def rows(self) -> int:
        return sum(run.length for run in self.runs)

    @property
    def is_plain(self) -> bool:
        """Whether every run adds low-rank products and nothing else."""
        return all(run.is_plain for run in self.runs)

    @property
    def is_empty(self) -> bool:
        """Whether no run adds anything."""
        return not any(part.factors for run in self.runs for part in run.stack)

    def dropout_states(self) -> list[list[torch.Tensor]]:
        """Of every run, see RowDropout."""
        return [run.dropout.states() if run.dropout else [] for run in self.runs]

    def restore_dropout(self, states: list[list[torch.Tensor]]) -> None:
        for run, of_run in zip(self.runs, states, strict=True):
            if run.dropout is not None:
                run.dropout.restore(of_run)

    def add(self, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not any(module in part.factors for run in self.runs for part in run.stack):
            return y
        parts = []
        start = 0
        for run in self.runs:
            rows = slice(start, start + run.length)
            adapted = y[rows]
            for part in run.stack:
                adapted = _adapted(part, module, x[rows], adapted)
            parts.append(adapted)
            start += run.length
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _adapted(run: TrainedRun, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    factors = run.factors.get(module)
    if factors is None:
        return y
    if run.dropout is not None:
        x = run.dropout.apply(x)
    inner = F.linear(x, factors.a)  # (rows, rank)
    added = torch.addmm(y, inner, factors.b.t(), alpha=run.scaling)
    # A dropped input is dropped for the factors alone: the base always sees all of it.
    return added if factors.magnitude is None else factors.magnitude.scale(added)
