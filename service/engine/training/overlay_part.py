"""Tensors of the base in training, in a variant of it that shares all the others."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from service.core.engine_protocol import FullTuning, PartialTuning
from service.core.errors import InvalidHyperparameter
from service.engine.runner import BaseRunner
from service.engine.training.weights import Slot


class OverlayPart:
    """Slots are parameters of the base, under its own names."""

    def __init__(
        self,
        runner: BaseRunner,
        tuning: FullTuning | PartialTuning,
        start: Mapping[str, torch.Tensor],
    ) -> None:
        """`start`: tensors that already differ from the base's; those that are not trained stay as
        they are. Raises InvalidHyperparameter for a tuning that names nothing of this base."""
        self._base = runner
        self._start = start
        self.names = select_parameters(runner.base.model, tuning)
        parameters = dict(runner.base.model.named_parameters())
        self.slots: Sequence[Slot] = [
            Slot(name, tuple(parameters[name].shape), runner.base.dtype) for name in self.names
        ]
        self._frozen = {
            name: tensor.to(device=runner.base.device, dtype=runner.base.dtype)
            for name, tensor in start.items()
            if name not in set(self.names)
        }
        self.runner = runner
        """The variant, once it is bound."""

    def bind(self, leaves: Mapping[str, torch.Tensor]) -> None:
        """See Part."""
        self.runner = self._base.variant({**self._frozen, **leaves})

    def initialise(self, weights: Mapping[str, torch.Tensor], seed: int) -> None:
        """As they are at the start, whatever the seed."""
        del seed
        parameters = dict(self._base.base.model.named_parameters())
        for name, weight in weights.items():
            weight.copy_(self._start.get(name, parameters[name]))

    def refreshed(self) -> None:
        """See Part."""

    def snapshot(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Every tensor that differs from the base's, in the base's dtype."""
        dtype = self._base.base.dtype
        trained = {name: weights[name].to(dtype) for name in self.names}
        return {**{name: tensor.cpu() for name, tensor in self._frozen.items()}, **trained}


def select_parameters(model: PreTrainedModel, tuning: FullTuning | PartialTuning) -> list[str]:
    """Names of the parameters that a tuning trains, in the model's order.

    Raises InvalidHyperparameter where one of its patterns matches nothing, or there are fewer
    layers than it asks for.
    """
    names = [name for name, _ in model.named_parameters()]
    if isinstance(tuning, FullTuning):
        return names
    chosen: set[str] = set()
    for pattern in tuning.trainable:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            raise InvalidHyperparameter(
                f"'{pattern}' matches no weight of this base; its weights have names such as "
                f"{names[0]!r} and {names[-1]!r}",
                param="tuning.trainable",
            )
        chosen |= matches
    if tuning.last_n_layers is not None:
        chosen |= _last_layers(model, tuning.last_n_layers)
    if not chosen:
        raise InvalidHyperparameter(
            "partial tuning needs 'last_n_layers' or 'trainable'", param="tuning"
        )
    return [name for name in names if name in chosen]


def _last_layers(model: PreTrainedModel, count: int) -> set[str]:
    """The last decoder layers, the norm behind them and, unless it is the embedding, the head."""
    layers, behind = _decoder_layers(model)
    if count > len(layers):
        raise InvalidHyperparameter(
            f"this base has {len(layers)} layers, fewer than {count}; 'full' trains all of it",
            param="tuning.last_n_layers",
        )
    modules: list[nn.Module] = [*layers[len(layers) - count :], *behind]
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    embedding: Any = model.get_input_embeddings()
    if head is not None and head.weight is not embedding.weight:
        modules.append(head)
    wanted = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def _decoder_layers(model: PreTrainedModel) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers, and the modules that are computed after them."""
    count = model.config.get_text_config().num_hidden_layers
    for parent in model.base_model.modules():
        children = list(parent.children())
        for place, child in enumerate(children):
            if isinstance(child, nn.ModuleList) and len(child) == count:
                return list(child), children[place + 1 :]
    raise InvalidHyperparameter(
        "the layers of this base are not to be told apart; name its weights in 'trainable'",
        param="tuning.last_n_layers",
    )
