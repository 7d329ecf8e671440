"""What a session trains: one flat fp32 tensor, made of named parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from service.engine.layers import RowDropout, TrainedFactors, TrainedRun
from service.engine.runner import BaseRunner


@dataclass(frozen=True)
class Slot:
    """A named place in the flat tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    """Of the leaf that autograd differentiates."""


class Part(Protocol):
    """Some of a session's weights: an adapter, tensors of the base, or a head."""

    @property
    def slots(self) -> Sequence[Slot]:
        """Its places, in their order in the flat tensor."""

    def bind(self, leaves: Mapping[str, torch.Tensor]) -> None:
        """Compute with these from now on; one for each slot, by name."""

    def initialise(self, weights: Mapping[str, torch.Tensor], seed: int) -> None:
        """Fill views of the flat weights, by name."""

    def refreshed(self) -> None:
        """The leaves have changed."""


@dataclass(frozen=True)
class RowWeights:
    """What a job's rows are computed with: a base or a variant of it, and an adapter on top."""

    runner: BaseRunner
    factors: Mapping[str, TrainedFactors] = field(default_factory=dict)
    scaling: float = 1.0
    below: "RowWeights | None" = None
    """A frozen adapter on the same runner, beneath this one."""

    @property
    def is_plain(self) -> bool:
        """Low-rank products and nothing else: no DoRA, which takes other passes."""
        return self.run(0).is_plain

    def run(self, length: int, dropout: RowDropout | None = None) -> TrainedRun:
        """Consecutive rows of a batch, computed so."""
        below = None if self.below is None else self.below.run(length)
        return TrainedRun(length, self.factors, self.scaling, dropout, below)


class TrainedWeights:
    """Weights and gradient as flat tensors: an optimizer step or a snapshot is a few operations.

    Products use `leaves`, most of them in the base's dtype; autograd ends at them, and what it
    finds is added to the fp32 gradient.
    """

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        """All weights zero."""
        self._parts = parts
        self._slots = {slot.name: slot for part in parts for slot in part.slots}
        size = sum(torch.Size(slot.shape).numel() for slot in self._slots.values())
        self.flat = torch.zeros(size, device=device)
        self.gradient = torch.zeros_like(self.flat)
        self._gradients = list(self.cut(self.gradient).values())
        exact = self.cut(self.flat)
        # An fp32 leaf is its weights themselves, and `refresh` has nothing to do.
        leaves: dict[str, torch.Tensor] = {
            name: nn.Parameter(exact[name].to(slot.dtype)) for name, slot in self._slots.items()
        }
        self._exact = [exact[name] for name, leaf in leaves.items() if leaf.dtype != torch.float32]
        self._cast = [leaf for leaf in leaves.values() if leaf.dtype != torch.float32]
        self.leaves: Sequence[torch.Tensor] = list(leaves.values())
        for part in parts:
            part.bind({slot.name: leaves[slot.name] for slot in part.slots})

    @property
    def size(self) -> int:
        """Trainable parameters."""
        return self.flat.numel()

    def initialise(self, seed: int) -> None:
        """As a function of the seed, part by part."""
        weights = self.cut(self.flat)
        with torch.no_grad():
            for part in self._parts:
                part.initialise({slot.name: weights[slot.name] for slot in part.slots}, seed)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Make the products use the weights as they are."""
        if self._cast:
            torch._foreach_copy_(self._cast, self._exact)
        for part in self._parts:
            part.refreshed()

    def add_gradient(self, gradients: Sequence[torch.Tensor]) -> None:
        """One for each of `leaves`, in their order."""
        torch._foreach_add_(self._gradients, list(gradients))

    def cut(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of a flat tensor, by name."""
        return dict(self._cut(flat))

    def snapshot(self) -> dict[str, torch.Tensor]:
        """A copy that training leaves alone, on the CPU, by name."""
        return self.cut(self.flat.detach().to("cpu", copy=True))

    def _cut(self, flat: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        start = 0
        for name, slot in self._slots.items():
            stop = start + torch.Size(slot.shape).numel()
            yield name, flat[start:stop].view(slot.shape)
            start = stop
