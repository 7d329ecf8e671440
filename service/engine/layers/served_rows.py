"""Rows of adapters being served: no gradient, products written into the base's result."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from service.engine.layers.adapter_slots import AdapterSlots
from service.engine.layers.served_adapter import Gain, ServedAdapter


@dataclass(frozen=True)
class ServedRuns:
    """A RowPlan of long runs: two products an adapter."""

    rows: int
    runs: tuple[tuple[int, int, ServedAdapter], ...]
    """(first row, row after the last, adapter); rows outside every run are the base's."""

    def add(self, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for start, stop, adapter in self.runs:
            factors = adapter.factors.get(module)
            if factors is not None:
                if factors.gain is not None:
                    factors.gain.apply_(y[start:stop])
                y[start:stop].addmm_(F.linear(x[start:stop], factors.a), factors.b)
        return y


class SlottedRows:
    """A RowPlan of few rows an adapter: two batched products over all adapters.

    Each slot gets the same number of rows; missing ones are filled with any row, and what they
    give is not read.
    """

    def __init__(self, slots: AdapterSlots, slot_of_row: Sequence[int | None]) -> None:
        """`slot_of_row` ascends; the base's rows (None) come last."""
        self.rows = len(slot_of_row)
        self._slots = slots
        counts = [0] * slots.used
        for slot in slot_of_row:
            if slot is not None:
                counts[slot] += 1
        self._adapted = sum(counts)
        self._width = max(counts)
        self._slot_of_row = torch.tensor(
            [slot for slot in slot_of_row if slot is not None], device=slots.device
        )
        self._gather: torch.Tensor | None = None
        self._scatter: torch.Tensor | None = None
        if any(count != self._width for count in counts):
            self._pad(counts)

    def _pad(self, counts: Sequence[int]) -> None:
        gather, scatter, first = [], [], 0
        for slot, count in enumerate(counts):
            rows = [first + i for i in range(count)]
            gather += rows + [0] * (self._width - count)
            scatter += [slot * self._width + i for i in range(count)]
            first += count
        self._gather = torch.tensor(gather, device=self._slots.device)
        self._scatter = torch.tensor(scatter, device=self._slots.device)

    def add(self, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        stacked = self._slots.stacked(module)
        if stacked is None:
            return y
        a, b, gain = stacked  # (slots, rank, in), (slots, rank, out)
        if gain is not None:
            of_rows = Gain(*(part.index_select(0, self._slot_of_row) for part in gain))
            of_rows.apply_(y[: self._adapted])
        own = x[: self._adapted] if self._gather is None else x.index_select(0, self._gather)
        own = own.to(a.dtype).view(a.shape[0], self._width, -1)
        inner = torch.bmm(own, a.transpose(1, 2))
        outer = torch.bmm(inner, b).view(-1, y.shape[1])
        if self._scatter is not None:
            outer = outer.index_select(0, self._scatter)
        y[: self._adapted].add_(outer)
        return y
