"""A linear layer of the base that adds each row's own adapter product to the base's.

Which rows use which adapter is a `RowPlan`, set for the length of one pass on the `AdapterSwitch`
that all layers of a base share.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedModel

from service.core.engine_protocol import LoraTuning
from service.core.errors import InvalidHyperparameter


class RowPlan(Protocol):
    """The adapters of one packed batch."""

    @property
    def rows(self) -> int:
        """Rows of the batch."""

    def add(self, module: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """`y` (rows, out) plus every row's adapter product of `x` (rows, in).

        May write into `y`. A row depends on nothing but itself and its own adapter, whatever
        values the other adapters hold: rows are selected, never multiplied by a mask.
        """


class AdapterSwitch:
    """What the layers of one base look at during a pass; None: the base alone."""

    def __init__(self) -> None:
        self.plan: RowPlan | None = None

    @contextmanager
    def using(self, plan: RowPlan | None) -> Iterator[None]:
        """Set the plan for one pass."""
        self.plan = plan
        try:
            yield
        finally:
            self.plan = None


class MultiAdapterLinear(nn.Linear):
    """Shares weight and bias with the layer it replaces."""

    def __init__(self, replaced: nn.Linear, name: str, switch: AdapterSwitch) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = replaced.in_features, replaced.out_features
        self.weight, self.bias = replaced.weight, replaced.bias
        self.name = name
        self._switch = switch

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        y = nn.functional.linear(input, self.weight, self.bias)
        plan = self._switch.plan
        if plan is None:
            return y
        x = input.reshape(-1, self.in_features)
        if x.shape[0] != plan.rows:
            raise RuntimeError(f"{self.name} sees {x.shape[0]} rows of a batch of {plan.rows}")
        return plan.add(self.name, x, y.view(-1, self.out_features)).view(y.shape)


def adaptable_linears(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Every linear layer by name, the output head excepted."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) in (nn.Linear, MultiAdapterLinear) and module is not head
    }


def swap_linears(model: PreTrainedModel, switch: AdapterSwitch) -> dict[str, MultiAdapterLinear]:
    """Replace the model's linear layers in place; returns the new ones by name."""
    swapped = {}
    for name, linear in adaptable_linears(model).items():
        parent, _, attribute = name.rpartition(".")
        swapped[name] = MultiAdapterLinear(linear, name, switch).eval()
        setattr(model.get_submodule(parent), attribute, swapped[name])
    return swapped


def select_targets(linears: Mapping[str, nn.Linear], tuning: LoraTuning) -> list[str]:
    """Names of the layers that a tuning adapts, in the model's order.

    A name in `target_modules` matches itself and every name that ends in it after a dot, as in
    PEFT. Raises InvalidHyperparameter when one matches nothing.
    """
    if tuning.target_modules == "all-linear":
        if not linears:
            raise InvalidHyperparameter("this base has no linear layers", param="tuning")
        return list(linears)
    for target in tuning.target_modules:
        if not any(_matches(name, target) for name in linears):
            raise InvalidHyperparameter(
                f"target module {target!r} is no linear layer of this base",
                param="tuning.target_modules",
            )
    return [n for n in linears if any(_matches(n, target) for target in tuning.target_modules)]


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
