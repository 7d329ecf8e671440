"""Models that share most of their tensors."""

import copy
from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel

from service.core.errors import AdapterCorrupt


def copy_with(
    model: PreTrainedModel, replaced: Mapping[str, torch.Tensor], memo: Mapping[int, object]
) -> PreTrainedModel:
    """The same modules anew, with these tensors as their parameters by name; every other parameter
    and every buffer shares its memory with the model's.

    `memo`: what other objects of the model become in the copy, by id, as for `copy.deepcopy`.
    Raises AdapterCorrupt for a name that the model lacks or a tensor of another shape.
    """
    parameters = dict(model.named_parameters())
    _check(parameters, replaced)
    shared: dict[int, object] = {id(buffer): buffer for buffer in model.buffers()}
    for name, parameter in parameters.items():
        shared[id(parameter)] = _parameter(replaced.get(name, parameter))
    other: PreTrainedModel = copy.deepcopy(model, {**shared, **memo})
    return other


def _parameter(tensor: torch.Tensor) -> nn.Parameter:
    """A leaf in training is taken as it is. A frozen one becomes another parameter of the same
    memory, so that fusing the copy's layers leaves the model's own parameters where they are."""
    if tensor.requires_grad:
        assert isinstance(tensor, nn.Parameter)
        return tensor
    return nn.Parameter(tensor.detach(), requires_grad=False)


def _check(parameters: Mapping[str, torch.Tensor], replaced: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in replaced.items():
        if name not in parameters:
            raise AdapterCorrupt(f"the base has no parameter {name!r}")
        expected = tuple(parameters[name].shape)
        if tuple(tensor.shape) != expected:
            raise AdapterCorrupt(
                f"{name}: the overlay's tensor has the shape {tuple(tensor.shape)}, "
                f"the base's {expected}"
            )
