"""A head in training: named fp32 tensors beside the base."""

from collections.abc import Mapping, Sequence

import torch

from service.engine.heads import Head
from service.engine.training.weights import Slot

PREFIX = "head."


class HeadPart:
    """Slots are the head's own names behind `head.`."""

    def __init__(self, head: Head, start: Mapping[str, torch.Tensor] | None = None) -> None:
        """`start`: tensors to train further, by the head's own names."""
        self.head = head
        self._start = start
        self.slots: Sequence[Slot] = [
            Slot(PREFIX + name, shape, torch.float32) for name, shape in head.shapes.items()
        ]
        self.tensors: Mapping[str, torch.Tensor] = {}
        """What the head computes with, by its own names."""

    def bind(self, leaves: Mapping[str, torch.Tensor]) -> None:
        """See Part."""
        self.tensors = self.own(leaves)

    def initialise(self, weights: Mapping[str, torch.Tensor], seed: int) -> None:
        """See Part."""
        own = self.own(weights)
        if self._start is None:
            self.head.initialise(own, seed)
            return
        for name, tensor in own.items():
            tensor.copy_(self._start[name])

    def refreshed(self) -> None:
        """See Part."""

    def own(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The head's, by its own names."""
        return {slot.name.removeprefix(PREFIX): weights[slot.name] for slot in self.slots}
