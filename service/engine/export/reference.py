"""What an export is held against."""

from dataclasses import dataclass

import torch

from service.engine.parts import AdapterWeights


@dataclass(frozen=True)
class Reference:
    """A model as it is served at this moment."""

    weights: AdapterWeights
    served: torch.Tensor
    """(tokens of all dialogues, vocabulary), fp32: what the step loop computed."""
    base: torch.Tensor
    """The same without the adapter."""
