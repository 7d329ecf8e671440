"""Several linear layers of one input as one product, with each job's adapter beside it.

The products of a job's factors are stacked too: its A factors one below the other, its B factors
on the diagonal of one matrix. Jobs are computed apart, rows selected, so that one's NaN stays its
own. LoRA: Hu et al. 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from service.engine.layers import RowDropout, TrainedRun


@dataclass(frozen=True)
class Member:
    """One of the linear layers."""

    name: str
    outputs: slice


class FusedProjection:
    """Takes the layers' weights over: they become views of the fused one, so that the generic path
    uses the same memory."""

    def __init__(self, layers: dict[str, nn.Linear]) -> None:
        linears = list(layers.values())
        self.members: list[Member] = []
        stop = 0
        for name, linear in layers.items():
            self.members.append(Member(name, slice(stop, stop := stop + linear.out_features)))
        self.weight = _take_over([linear.weight for linear in linears])
        """(outputs of all members, inputs)"""
        given: list[torch.Tensor | None] = [linear.bias for linear in linears]
        biases = [bias for bias in given if bias is not None]
        if biases and len(biases) != len(linears):
            raise ValueError(f"only some of {', '.join(layers)} have a bias")
        self.bias = _take_over(biases) if biases else None

    def leaves(self, runs: Sequence[TrainedRun]) -> list[torch.Tensor]:
        """The factors of all jobs here, in the order of the gradients that `Projected` gives."""
        return [
            factor
            for run in runs
            for part in run.stack
            for member in self.members
            if member.name in part.factors
            for factor in part.factors[member.name][:2]
        ]

    def forward(self, x: torch.Tensor, runs: Sequence[TrainedRun]) -> "Projected":
        """`x` is (rows, inputs)."""
        y = F.linear(x, self.weight, self.bias)
        added, start = [], 0
        for run in runs:
            rows = slice(start, start := start + run.length)
            for part in run.stack:
                members = [member for member in self.members if member.name in part.factors]
                if members:
                    adapter = _RunAdapter(part, rows, members, self.weight.shape[0])
                    adapter.add_to(y[rows], x[rows])
                    added.append(adapter)
        return Projected(self, y, added)


class Projected:
    """The result of a projection, and what its gradient needs."""

    def __init__(
        self, projection: FusedProjection, y: torch.Tensor, added: "Sequence[_RunAdapter]"
    ) -> None:
        self.y = y
        self._projection = projection
        self._added = added

    def take(self) -> torch.Tensor:
        """The result, kept no longer here."""
        y = self.y
        del self.y
        return y

    @property
    def needs_input(self) -> bool:
        """Whether `backward` looks at `x`."""
        return bool(self._added)

    def backward(
        self, dy: torch.Tensor, x: torch.Tensor | None, *, input_gradient: bool = True
    ) -> tuple[torch.Tensor | None, list[torch.Tensor | None]]:
        """The gradient of `x` and those of `leaves`."""
        dx = torch.mm(dy, self._projection.weight) if input_gradient else None
        found: list[torch.Tensor | None] = []
        for adapter in self._added:
            assert x is not None
            rows = adapter.rows
            found += adapter.backward(dy[rows], x[rows], None if dx is None else dx[rows])
        return dx, found


class _RunAdapter:
    """One job's factors in one projection, during one pass."""

    def __init__(
        self, run: TrainedRun, rows: slice, members: Sequence[Member], outputs: int
    ) -> None:
        self.rows = rows
        self._scaling = run.scaling
        self._dropout = run.dropout
        self._kept: list[torch.Tensor] = []  # masks of dropout, one a member
        factors = [run.factors[member.name] for member in members]
        self._is_trained = factors[0].a.requires_grad
        self._a = factors[0].a if len(factors) == 1 else torch.cat([pair.a for pair in factors])
        self._outputs = [member.outputs for member in members]
        self._ranks: list[slice] = []
        stop = 0
        for pair in factors:
            self._ranks.append(slice(stop, stop := stop + pair.a.shape[0]))
        if factors[0].b.shape[0] == outputs:  # the projection has one member
            self._b = factors[0].b
        else:
            self._b = self._a.new_zeros(outputs, stop)
            for place, ranks, pair in zip(self._outputs, self._ranks, factors, strict=True):
                self._b[place, ranks] = pair.b

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """y += scaling · (x Aᵀ) Bᵀ"""
        if self._dropout is None:
            self._inner = F.linear(x, self._a)  # (rows, ranks)
        else:
            self._kept = [self._dropout.draw(x) for _ in self._ranks]
            inner = [
                F.linear(self._dropout.drop(x, kept), self._a[ranks])
                for kept, ranks in zip(self._kept, self._ranks, strict=True)
            ]
            self._inner = torch.cat(inner, dim=1)
        y.addmm_(self._inner, self._b.t(), alpha=self._scaling)

    def backward(
        self, dy: torch.Tensor, x: torch.Tensor, dx: torch.Tensor | None
    ) -> list[torch.Tensor | None]:
        """Adds to `dx`; returns the gradients of A and B, member by member, None of frozen ones."""
        dinner = torch.mm(dy, self._b).mul_(self._scaling)  # (rows, ranks)
        if not self._is_trained:
            if dx is not None:
                dx.addmm_(dinner, self._a)
            return [None for _ in self._outputs for _ in ("A", "B")]
        db = torch.mm(dy.t(), self._inner).mul_(self._scaling)  # (outputs, ranks)
        if self._dropout is None:
            da = torch.mm(dinner.t(), x)  # (ranks, inputs)
            if dx is not None:
                dx.addmm_(dinner, self._a)
        else:
            da = self._backward_dropped(self._dropout, dinner, x, dx)
        found: list[torch.Tensor | None] = []
        for place, ranks in zip(self._outputs, self._ranks, strict=True):
            found += [da[ranks], db[place, ranks]]
        return found

    def _backward_dropped(
        self, dropout: RowDropout, dinner: torch.Tensor, x: torch.Tensor, dx: torch.Tensor | None
    ) -> torch.Tensor:
        parts = []
        for kept, ranks in zip(self._kept, self._ranks, strict=True):
            own = dinner[:, ranks]
            parts.append(torch.mm(own.t(), dropout.drop(x, kept)))
            if dx is not None:
                dx += dropout.drop(torch.mm(own, self._a[ranks]), kept)
        return torch.cat(parts)


def _take_over(parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """One tensor of all; the parameters become views of it."""
    if len(parameters) == 1:
        return parameters[0].detach()
    joined = _joined(parameters)
    if joined is not None:
        return joined
    whole = torch.cat([parameter.detach() for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = whole[start : (start := start + parameter.shape[0])]
    return whole


def _joined(parameters: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """One tensor of all if they lie one behind the other already: those of another decoder, which
    shares its memory with this one."""
    first = parameters[0]
    place = first.data_ptr()
    for parameter in parameters:
        is_same = parameter.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not is_same or parameter.data_ptr() != place or not parameter.is_contiguous():
            return None
        place += parameter.nbytes
    rows = sum(parameter.shape[0] for parameter in parameters)
    shape = (rows, *first.shape[1:])
    return first.detach().as_strided(shape, first.stride(), first.storage_offset())
