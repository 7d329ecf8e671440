"""Sizes of a base as the api is told them."""

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from math import prod

from transformers import PreTrainedModel

from service.core.adapters import LinearShapes
from service.core.engine_protocol import ModelShapes, NamedShape, PartialTuning
from service.core.errors import InvalidHyperparameter
from service.engine.training.overlay_part import select_parameters

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def shapes_of(model: PreTrainedModel, linears: LinearShapes, *, element_bytes: int) -> ModelShapes:
    config = model.config.get_text_config()
    parameters = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    layers, behind = _last_layers(model, int(config.num_hidden_layers))
    return ModelShapes(
        parameters=_grouped(parameters),
        linears=_grouped(linears),
        layers=tuple(sum(prod(parameters[name]) for name in names) for names in layers),
        behind=_grouped({name: parameters[name] for name in behind}),
        hidden=int(config.hidden_size),
        vocabulary=int(config.vocab_size),
        element_bytes=element_bytes,
    )


def _last_layers(model: PreTrainedModel, layers: int) -> tuple[list[set[str]], set[str]]:
    """Names of each layer's parameters, and of what is trained behind the last; nothing where the
    layers are not to be told apart."""
    try:
        found = [
            set(select_parameters(model, PartialTuning(last_n_layers=count)))
            for count in range(layers, 0, -1)
        ]
    except InvalidHyperparameter:
        return [], set()
    behind = {name for name in found[-1] if not _NUMBER.search(name)}
    return [more - fewer for more, fewer in pairwise([*found, behind])], behind


def _grouped(shapes: Mapping[str, tuple[int, ...]]) -> tuple[NamedShape, ...]:
    """Names that differ in their layer's number only, and are there for each of 0 … n − 1."""
    numbers: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    for name, shape in shapes.items():
        numbers[_NUMBER.sub("{}", name, count=1), tuple(shape)].append(name)
    found = []
    for (template, shape), names in numbers.items():
        if "{}" in template and names == [
            template.replace("{}", str(i)) for i in range(len(names))
        ]:
            found.append(NamedShape(name=template, count=len(names), shape=shape))
        else:
            found += [NamedShape(name=name, count=0, shape=shape) for name in names]
    return tuple(found)
