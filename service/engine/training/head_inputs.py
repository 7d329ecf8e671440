"""A job's head during a pass: what it reads, what it gives, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import TrainingRow
from service.engine.heads import pool
from service.engine.layers import RowDropout
from service.engine.training.head_part import HeadPart
from service.engine.training.random_keys import generator


@dataclass(frozen=True)
class HeadDropout:
    """Keys of a step's masks."""

    seed: int
    step: int

    def masks(
        self, part: HeadPart, rows: Sequence[TrainingRow], counts: Sequence[int]
    ) -> RowDropout | None:
        """For `counts` places of each row, each row from a generator of its own."""
        probability = part.head.spec.dropout
        if not probability:
            return None
        device = next(iter(part.tensors.values())).device
        generators = [
            generator(
                self.seed, step=self.step, purpose="head-dropout", line=row.line, device=device
            )
            for row in rows
        ]
        return RowDropout(probability, counts, generators)


@dataclass(frozen=True)
class HeadOutputs:
    """Of one job; autograd follows `outputs` back to what is `wanted`."""

    place: slice
    """Of the gathered states: what it reads."""
    outputs: torch.Tensor
    """(rows, outputs), of a value head (places)"""
    wanted: list[torch.Tensor]
    """What gets a gradient: the states, and the head's tensors in their order."""


def score_rows(
    part: HeadPart,
    states: torch.Tensor,
    place: slice,
    rows: Sequence[TrainingRow],
    lengths: Sequence[int],
    dropout: HeadDropout | None,
) -> HeadOutputs:
    """One output a row, of the states at its pooled places."""
    leaf = _leaf(states[place])
    features = pool(leaf, lengths, part.head.spec.pooling)
    masks = dropout.masks(part, rows, [1] * len(rows)) if dropout else None
    outputs = part.head.apply(part.tensors, features, masks)
    return HeadOutputs(place, outputs, [leaf, *part.tensors.values()])


def value_tokens(
    part: HeadPart,
    states: torch.Tensor,
    place: slice,
    rows: Sequence[TrainingRow],
    counts: Sequence[int],
    dropout: HeadDropout | None,
) -> HeadOutputs:
    """One value a place; `counts` says how many places a row has."""
    leaf = _leaf(states[place])
    masks = dropout.masks(part, rows, counts) if dropout else None
    values = part.head.apply(part.tensors, leaf, masks)[:, 0]
    return HeadOutputs(place, values, [leaf, *part.tensors.values()])


def _leaf(states: torch.Tensor) -> torch.Tensor:
    leaf = states.detach().to(torch.float32)
    return leaf.requires_grad_() if torch.is_grad_enabled() else leaf
