"""Which layers of a base an adapter may sit on, and their sizes."""

import torch
from transformers import PreTrainedModel

from service.core.adapters import LinearShapes


def linear_shapes(model: PreTrainedModel) -> LinearShapes:
    """Every linear layer but the output head, which peft's `all-linear` leaves out as well."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
