"""Which layers of a base an adapter may sit on, and their sizes."""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

LinearShapes = Mapping[str, tuple[int, int]]
"""Module name in the base → (out_features, in_features)."""


def linear_shapes(model: PreTrainedModel) -> LinearShapes:
    """Every linear layer but the output head, which peft's `all-linear` leaves out as well."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
