"""From the hidden states of a row's tokens to one vector."""

from collections.abc import Sequence
from typing import Literal

import torch

Pooling = Literal["last", "mean"]


def pooled_tokens(length: int, pooling: Pooling) -> range:
    """The tokens of a row that its pooling reads."""
    return range(length - 1 if pooling == "last" else 0, length)


def pooled_places(starts: Sequence[int], lengths: Sequence[int], pooling: Pooling) -> list[int]:
    """The packed places that the rows' pooling reads, row by row."""
    return [
        start + at
        for start, length in zip(starts, lengths, strict=True)
        for at in pooled_tokens(length, pooling)
    ]


def pool(states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
    """(rows, size) of the states at `pooled_places`, in their dtype. A row reads its own states
    and no others'. Follows the caller's gradient mode."""
    if pooling == "last":
        return states
    parts = torch.split(states, list(lengths))
    return torch.stack([part.mean(0) for part in parts])
