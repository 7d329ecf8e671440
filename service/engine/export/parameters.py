"""A base with a delta written into its weights."""

from collections.abc import Iterator

import torch

from service.engine.layers import LowRank, row_norms
from service.engine.parts import AdapterWeights, DeltaWeights, LoadedBase


def merged_parameters(
    base: LoadedBase, delta: DeltaWeights | None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the model by name, in its order and the base's dtype, one at a time, so
    that no more than one merged tensor need exist at once. A tied head is named once, as the
    embedding. What the delta leaves alone is the base's own tensor."""
    changed = dict(_changes(base, delta))
    for name, parameter in base.model.named_parameters():
        change = changed.get(name)
        yield name, parameter.detach() if change is None else change()


def changed_parameters(base: LoadedBase, delta: DeltaWeights) -> Iterator[tuple[str, torch.Tensor]]:
    """As `merged_parameters`, of those alone that the delta changes."""
    for name, change in _changes(base, delta):
        yield name, change()


class _Change:
    """One parameter that a delta changes, computed when it is asked for."""

    def __init__(self, base: LoadedBase, delta: DeltaWeights, name: str) -> None:
        self._base = base
        self._delta = delta
        self._name = name

    @torch.no_grad()
    def __call__(self) -> torch.Tensor:
        base, adapter = self._base, self._delta.adapter
        overlay = {} if self._delta.overlay is None else self._delta.overlay.tensors
        weight = overlay.get(self._name)
        if weight is None:
            weight = base.model.get_parameter(self._name).detach()
        weight = weight.to(base.device)
        module = self._name.removesuffix(".weight")
        if adapter is not None and module in adapter.modules:
            weight = merged_weight(weight, adapter, module)
        return weight.to(base.dtype)


def merged_weight(weight: torch.Tensor, adapter: AdapterWeights, module: str) -> torch.Tensor:
    """W + s·B A, its rows scaled to the magnitude if it is a DoRA; fp32."""
    pair = adapter.modules[module]
    low = LowRank(pair.a.to(weight.device), pair.b.to(weight.device) * adapter.scaling)
    merged = torch.addmm(weight.float(), low.b, low.a)
    magnitude = adapter.magnitudes.get(module)
    if magnitude is None:
        return merged
    gain = magnitude.to(weight.device) / row_norms(weight, low)
    return merged * gain[:, None]


def _changes(base: LoadedBase, delta: DeltaWeights | None) -> Iterator[tuple[str, _Change]]:
    if delta is None:
        return
    overlay = set() if delta.overlay is None else set(delta.overlay.tensors)
    modules = set() if delta.adapter is None else set(delta.adapter.modules)
    for name, _ in base.model.named_parameters():
        if name in overlay or name.removesuffix(".weight") in modules:
            yield name, _Change(base, delta, name)
