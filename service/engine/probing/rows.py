"""Rows to be computed by the step loop, and the ways to compute them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto

import torch
from torch import nn
from torch.nn import functional as F

from service.core.engine_protocol import MAX_PROBED_TOKENS
from service.core.errors import InvalidRequest
from service.engine.export.parameters import merged_weight
from service.engine.parts import AdapterWeights
from service.engine.runner import BaseRunner


class Arithmetic(Enum):
    """How a row's logits are found."""

    BASE = auto()
    """Without the adapter."""
    SERVED = auto()
    """With the adapter as streams are served."""
    MERGED = auto()
    """With W + scaling · B·A in fp32, which is how the adapter is defined (Hu et al. 2021)."""


@dataclass(eq=False)
class LogitRows:
    """One way to compute some rows."""

    runner: BaseRunner
    rows: Sequence[Sequence[int]]
    weights: AdapterWeights
    arithmetic: Arithmetic
    computed: list[torch.Tensor] = field(default_factory=list)
    """(tokens, vocabulary) of the first rows."""
    done: Future[torch.Tensor] = field(default_factory=Future)
    """(tokens of all rows, vocabulary), fp32 on the CPU."""


@dataclass(frozen=True)
class MergedRows:
    """A RowPlan in which every row uses one adapter, merged a layer at a time: no second copy of
    the base is ever held."""

    rows: int
    linears: Mapping[str, nn.Linear]
    weights: AdapterWeights

    def add(self, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if module not in self.weights.modules:
            return y
        linear = self.linears[module]
        merged = merged_weight(linear.weight, self.weights, module)
        bias = None if linear.bias is None else linear.bias.float()
        return F.linear(x.float(), merged, bias).to(y.dtype)


def check_rows(runner: BaseRunner, rows: Sequence[Sequence[int]]) -> None:
    """A row that the model cannot take would end the step loop, not a request. Raises
    InvalidRequest."""
    for row in rows:
        if not 0 < len(row) <= runner.base.context_length:
            raise InvalidRequest(f"a row has {len(row)} tokens", param="rows")
        if min(row) < 0 or max(row) >= runner.vocabulary:
            raise InvalidRequest("a row has a token that the model does not know", param="rows")
    if sum(map(len, rows)) > MAX_PROBED_TOKENS:
        raise InvalidRequest(f"the rows have more than {MAX_PROBED_TOKENS} tokens", param="rows")
