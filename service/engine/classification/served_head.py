"""One head as it answers."""

import math

import torch

from service.core.engine_protocol import Classified
from service.core.errors import AdapterCorrupt
from service.engine.heads import Head
from service.engine.parts import HeadWeights


class ServedHead:
    """On its device, in fp32."""

    def __init__(self, weights: HeadWeights, features: int, device: torch.device) -> None:
        """Raises AdapterCorrupt for tensors of other shapes than the head needs."""
        self.spec = weights.spec
        self._temperature = weights.temperature
        self._head = Head(weights.spec, features)
        found = {name: tuple(tensor.shape) for name, tensor in weights.tensors.items()}
        if found != dict(self._head.shapes):
            raise AdapterCorrupt(
                f"the head's tensors have the shapes {found}, the model and the head need "
                f"{dict(self._head.shapes)}"
            )
        self._tensors = {
            name: tensor.to(device=device, dtype=torch.float32)
            for name, tensor in weights.tensors.items()
        }

    def score(self, feature: torch.Tensor) -> tuple[float, ...]:
        """The numbers of one row, of (features)."""
        numbers = self._head.apply(self._tensors, feature[None])[0]
        if self.spec.kind == "classification":
            numbers = numbers / self._temperature
        return tuple(numbers.tolist())

    def answer(self, scores: tuple[tuple[float, ...], ...]) -> Classified:
        """Raises AdapterCorrupt for numbers that are not finite."""
        if not all(math.isfinite(number) for row in scores for number in row):
            raise AdapterCorrupt("the model's head gives numbers that are not finite")
        if self.spec.kind == "reward":
            return Classified(kind="reward", scores=scores)
        return Classified(
            kind="classification",
            labels=self.spec.labels,
            multi_label=self.spec.multi_label,
            scores=scores,
        )
