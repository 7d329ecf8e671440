"""Sizes of a base as the api is told them."""

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping

from transformers import PreTrainedModel

from service.core.engine_protocol import ModelShapes, NamedShape, PartialTuning
from service.core.errors import InvalidHyperparameter
from service.engine.adapters.shapes import LinearShapes
from service.engine.training.overlay_part import select_parameters

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def shapes_of(model: PreTrainedModel, linears: LinearShapes, *, element_bytes: int) -> ModelShapes:
    config = model.config.get_text_config()
    parameters = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    sizes = {name: tensor.numel() for name, tensor in model.named_parameters()}
    ends = _sizes_of_last_layers(model, sizes, int(config.num_hidden_layers))
    return ModelShapes(
        parameters=_grouped(parameters),
        linears=_grouped(linears),
        layers=tuple(after - before for before, after in itertools.pairwise(ends))[::-1],
        behind=ends[0] if ends else 0,
        hidden=int(config.hidden_size),
        vocabulary=int(config.vocab_size),
        element_bytes=element_bytes,
    )


def _sizes_of_last_layers(
    model: PreTrainedModel, sizes: Mapping[str, int], layers: int
) -> list[int]:
    """What `last_n_layers` trains for 0, 1, … layers; empty where they are not to be told apart."""
    try:
        found = [
            sum(
                sizes[name] for name in select_parameters(model, PartialTuning(last_n_layers=count))
            )
            for count in range(1, layers + 1)
        ]
    except InvalidHyperparameter:
        return []
    # Of equal layers: what remains below the first is what lies behind the layers.
    last = found[0] - (found[1] - found[0]) if len(found) > 1 else 0
    return [max(0, last), *found]


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
