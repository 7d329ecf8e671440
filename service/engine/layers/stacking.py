"""An adapter on an adapter is one adapter: their ranks side by side.

What is frozen below computes V = g ∘ (W + s₀·B₀ A₀), with g = 1 unless it is a DoRA; what was
trained on it adds s·B A, and a DoRA then scales the rows again. With B₁ = [s₀·B₀ | s·B / g] and
A₁ = [A₀ ; A] the result is h ∘ (W + B₁ A₁): an ordinary LoRA, or a DoRA with the magnitude
h ∘ ‖W + B₁ A₁‖.
"""

from collections.abc import Mapping

import torch
from torch import nn

from service.core.engine_protocol import LoraTuning
from service.engine.layers.dora import LowRank, row_norms
from service.engine.parts import AdapterWeights, LoraPair


def stack(
    below: AdapterWeights, above: AdapterWeights, linears: Mapping[str, nn.Linear]
) -> AdapterWeights:
    """`linears`: the layers that both belong to. Everything is on the CPU, fp32."""
    rank = below.tuning.rank + above.tuning.rank
    use_dora = bool(below.magnitudes or above.magnitudes)
    modules: dict[str, LoraPair] = {}
    magnitudes: dict[str, torch.Tensor] = {}
    for module in dict.fromkeys([*below.modules, *above.modules]):
        weight = linears[module].weight.detach()
        lower = _scaled(below, module, weight)
        upper = _scaled(above, module, weight)
        gain = torch.ones(weight.shape[0])
        if use_dora:
            weight = weight.cpu()
        if module in below.magnitudes:
            gain = below.magnitudes[module] / row_norms(weight, lower)
        joined = LowRank(
            torch.cat([lower.a, upper.a]), torch.cat([lower.b, upper.b / gain[:, None]], dim=1)
        )
        modules[module] = LoraPair(joined.a, joined.b)
        if module in above.magnitudes:
            magnitudes[module] = above.magnitudes[module] * gain.sign()
        elif use_dora:
            magnitudes[module] = gain * row_norms(weight, joined)
    tuning = LoraTuning(
        rank=rank,
        alpha=rank,
        dropout=above.tuning.dropout,
        target_modules=tuple(modules),
        use_dora=use_dora,
    )
    return AdapterWeights(above.id, above.digest, tuning, 1.0, modules, magnitudes)


def _scaled(adapter: AdapterWeights, module: str, weight: torch.Tensor) -> LowRank:
    """Its factors of a layer, the scaling within B; zeros where it leaves the layer alone."""
    pair = adapter.modules.get(module)
    if pair is None:
        rank = adapter.tuning.rank
        return LowRank(torch.zeros(rank, weight.shape[1]), torch.zeros(weight.shape[0], rank))
    return LowRank(pair.a, pair.b * adapter.scaling)
