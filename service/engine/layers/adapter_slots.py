"""Adapters side by side in one tensor a layer, so that one batched product serves them all."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from service.engine.layers.served_adapter import Gain, ServedAdapter


class AdapterSlots:
    """The adapters of the streams being decoded.

    An adapter keeps its slot until another needs it, so that streams which come and go copy
    little. A layer that an adapter does not touch, and the ranks it does not have, are zeros.
    """

    def __init__(
        self, linears: Mapping[str, nn.Linear], *, dtype: torch.dtype, device: torch.device
    ) -> None:
        """`dtype` is the base's; on a CPU the slots hold fp32 all the same, for there products of
        a few rows take half the time of bf16's."""
        self.device = device
        self._dtype = torch.float32 if device.type == "cpu" else dtype
        self._linears = linears
        self._slots: list[ServedAdapter] = []
        self._stacks: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._gains: dict[str, Gain] = {}
        self._capacity = self._rank = 0

    @property
    def used(self) -> int:
        """Slots that hold an adapter, from 0."""
        return len(self._slots)

    def place(self, adapters: Iterable[ServedAdapter]) -> dict[ServedAdapter, int]:
        """Put these adapters into slots, at the cost of others; returns where they are."""
        wanted = list(dict.fromkeys(adapters))
        missing = [adapter for adapter in wanted if adapter not in self._slots]
        if missing or 2 * len(wanted) < self.used:
            self._make_room(wanted, missing)
        return {adapter: self._slots.index(adapter) for adapter in wanted}

    def stacked(self, module: str) -> tuple[torch.Tensor, torch.Tensor, Gain | None] | None:
        """(slots, rank, in) and (slots, rank, out) of a layer, and gains (slots, out) if any slot
        holds a DoRA; None when no adapter touches it."""
        stack = self._stacks.get(module)
        if stack is None:
            return None
        gain = self._gains.get(module)
        if gain is not None:
            gain = Gain(gain.factor[: self.used], gain.shift[: self.used])
        return stack[0][: self.used], stack[1][: self.used], gain

    def _make_room(self, wanted: list[ServedAdapter], missing: list[ServedAdapter]) -> None:
        touched = {module for adapter in wanted for module in adapter.factors}
        ranks = (f.a.shape[0] for adapter in wanted for f in adapter.factors.values())
        rank = max(ranks, default=1)
        gained = {m for adapter in wanted for m, f in adapter.factors.items() if f.gain is not None}
        fits = rank <= self._rank and touched <= self._stacks.keys()
        fits = fits and gained <= self._gains.keys()
        if not fits or len(wanted) > self._capacity or 2 * len(wanted) < self.used:
            self._rebuild(wanted, touched, gained, rank)
            return
        for adapter in missing:
            self._write(self._take_slot(adapter, wanted), adapter)

    def _take_slot(self, adapter: ServedAdapter, wanted: list[ServedAdapter]) -> int:
        if self.used < self._capacity:
            self._slots.append(adapter)
            return self.used - 1
        slot = next(i for i, held in enumerate(self._slots) if held not in wanted)
        self._slots[slot] = adapter
        return slot

    def _rebuild(
        self, wanted: list[ServedAdapter], touched: set[str], gained: set[str], rank: int
    ) -> None:
        self._slots = list(wanted)
        self._capacity = 1 << (len(wanted) - 1).bit_length()
        self._rank = rank
        self._stacks = {}
        self._gains = {}
        for module in touched:
            linear = self._linears[module]
            self._stacks[module] = (
                self._zeros(self._capacity, rank, linear.in_features),
                self._zeros(self._capacity, rank, linear.out_features),
            )
            if module in gained:
                zeros = self._zeros(self._capacity, linear.out_features)
                self._gains[module] = Gain(zeros + 1, zeros)
        for slot, adapter in enumerate(wanted):
            self._write(slot, adapter)

    def _write(self, slot: int, adapter: ServedAdapter) -> None:
        for module, (a, b) in self._stacks.items():
            factors = adapter.factors.get(module)
            a[slot].zero_()
            b[slot].zero_()
            if factors is not None:
                rank = factors.a.shape[0]
                a[slot, :rank] = factors.a
                b[slot, :rank] = factors.b
        for module, gain in self._gains.items():
            factors = adapter.factors.get(module)
            own = None if factors is None else factors.gain
            gain.factor[slot] = 1 if own is None else own.factor
            gain.shift[slot] = 0 if own is None else own.shift

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=self._dtype, device=self.device)
