"""How far two models' logits lie apart, and how far they may."""

import torch

from service.core.engine_protocol import Comparison

_NOISE = {"float32": 2e-3, "float16": 0.02, "bfloat16": 0.1}
"""Median difference that two right ways to compute in a format may show. Measured on SmolLM2 with
adapters of rank 4 to 64: see docs/importing-and-exporting.md."""

_NO_EFFECT = 0.5
"""Share of the bound below which a delta drowns in the noise: neither nearness nor its absence
would be seen."""


def compare(
    one: torch.Tensor, other: torch.Tensor, base: torch.Tensor, *, formats: tuple[str, str]
) -> Comparison:
    """`one`, `other` and the `base` without any delta: (tokens, vocabulary), finite, fp32.

    `formats` are the number formats in which `one` and `other` were computed or stored; the
    coarser one bounds the difference.
    """
    difference = _differences(one, other)
    from_base = float(_differences(other, base).mean())
    effect = float(_differences(one, base).mean())
    bound = max(_NOISE[name] for name in formats)
    median = float(difference.median())
    is_nearer = float(difference.mean()) < from_base or effect < bound * _NO_EFFECT
    agreement = (one.argmax(-1) == other.argmax(-1)).float().mean()
    return Comparison(
        tokens=len(one),
        median_difference=median,
        largest_difference=float(difference.max()),
        top_token_agreement=float(agreement),
        difference_from_base=from_base,
        effect=effect,
        bound=bound,
        formats=formats,
        is_parity=median <= bound and is_nearer,
    )


def _differences(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Per token; what is added to all logits alike changes no probability."""
    centred = one - one.mean(-1, keepdim=True)
    apart = centred - (other - other.mean(-1, keepdim=True))
    relative: torch.Tensor = apart.norm(dim=-1) / centred.norm(dim=-1).clamp_min(1e-6)
    return relative
