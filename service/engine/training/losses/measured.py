"""What a loss is given and what it gives.

A loss is a plain differentiable function of log-probabilities or a head's numbers; how these came
about, and where their gradients go, is the pass's business. Everything is added up by row and by
pair, never over a batch: what one row holds, a NaN too, stays its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from service.core.engine_protocol import TrainingRow

_LEAST_WEIGHT = 1e-12


@dataclass(frozen=True)
class Measured:
    """What a pass found of one job's rows. Positions are the trained tokens, those with a weight
    above zero, row by row."""

    rows: Sequence[TrainingRow]
    row_of: torch.Tensor
    """(positions): which of the rows."""
    weights: torch.Tensor
    """(positions) in `precise`, and so is what they are multiplied with: a sum over a long row
    loses nothing."""
    logprobs: torch.Tensor
    """(positions) fp32; empty where nothing asked for it."""
    is_correct: torch.Tensor
    """(positions): whether the greedy prediction was right; empty like `logprobs`."""
    entropy: torch.Tensor | None = None
    """(positions) fp32, a number and no more."""
    values: torch.Tensor | None = None
    """(positions) fp32, of a value head."""
    scores: torch.Tensor | None = None
    """(rows, outputs) fp32, of a classification or reward head."""

    @staticmethod
    def precise(device: torch.device) -> torch.dtype:
        """fp64; Apple's GPUs have nothing beyond fp32."""
        return torch.float32 if device.type == "mps" else torch.float64

    def add_up(self, x: torch.Tensor) -> torch.Tensor:
        """(rows): the sum of (positions) over each row."""
        return x.new_zeros(len(self.rows)).index_add(0, self.row_of, x)

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        """(rows): the weighted mean of (positions) over each row; 0 of a row without any."""
        return self.per_token(self.add_up(self.weights * x))

    @cached_property
    def row_weights(self) -> torch.Tensor:
        """(rows): Σ weight"""
        return self.add_up(self.weights)

    @cached_property
    def row_logprobs(self) -> torch.Tensor:
        """(rows): Σ weight · log p(token)"""
        return self.add_up(self.weights * self.logprobs)

    @property
    def mean_logprobs(self) -> torch.Tensor:
        """(rows): log-probability a token"""
        return self.per_token(self.row_logprobs)

    def per_token(self, x: torch.Tensor) -> torch.Tensor:
        """(rows) divided by the rows' weights; 0 of a row without trained tokens."""
        return x / self.row_weights.clamp_min(_LEAST_WEIGHT)


@dataclass(frozen=True)
class Shares:
    """What each row contributed."""

    loss: torch.Tensor
    """(rows), before the normalizer; autograd follows it to what the loss was given."""
    weight: torch.Tensor
    """(rows): what the loss counts of the row."""
    correct: torch.Tensor
    """(rows): tokens, or things, that it was right about."""
    metrics: dict[str, torch.Tensor]
    """By name (rows); NaN where a row has no such number."""
