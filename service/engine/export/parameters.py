"""A base with a delta written into its weights."""

from collections.abc import Iterator

import torch

from service.engine.layers import LowRank, row_norms
from service.engine.parts import AdapterWeights, DeltaWeights, LoadedBase


def changed_parameters(base: LoadedBase, delta: DeltaWeights) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters that a delta changes, as it leaves them: by name, in the model's order and the
    base's dtype, one at a time."""
    overlay = {} if delta.overlay is None else delta.overlay.tensors
    modules = {} if delta.adapter is None else delta.adapter.modules
    for name, parameter in base.model.named_parameters():
        module = name.removesuffix(".weight")
        if name in overlay or module in modules:
            weight = overlay.get(name, parameter.detach()).to(base.device)
            if delta.adapter is not None and module in modules:
                weight = merged_weight(weight, delta.adapter, module)
            yield name, weight.to(base.dtype)


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
