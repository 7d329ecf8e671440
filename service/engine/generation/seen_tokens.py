"""How often a stream holds each token, as tensors that grow with it."""

from collections.abc import Iterable

import torch


class SeenTokens:
    """Distinct tokens in the order of their first coming, with their counts."""

    def __init__(self, tokens: Iterable[int], device: torch.device) -> None:
        self._place: dict[int, int] = {}
        self._counts: list[int] = []
        self._device = device
        self._ids: torch.Tensor | None = None
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        place = self._place.setdefault(token, len(self._counts))
        if place == len(self._counts):
            self._counts.append(0)
            self._ids = None
        self._counts[place] += 1

    @property
    def ids(self) -> torch.Tensor:
        """Kept until a token comes that is not among them."""
        if self._ids is None:
            self._ids = torch.tensor(list(self._place), dtype=torch.long, device=self._device)
        return self._ids

    @property
    def counts(self) -> torch.Tensor:
        return torch.tensor(self._counts, dtype=torch.float32, device=self._device)
