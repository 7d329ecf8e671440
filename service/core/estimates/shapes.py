"""What a tuning trains of a base, and the memory that shapes say it needs."""

import itertools
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from math import prod

from service.core.domain.tunings import (
    FullTuningSpec,
    HeadTuningSpec,
    LoraTuningSpec,
    PartialTuningSpec,
    TuningSpec,
)
from service.core.engine_protocol import ModelShapes, NamedShape
from service.core.errors import InvalidHyperparameter
from service.core.estimates.laws import PassSize, Trained

_STATE_BYTES = 16
"""fp32 weight, gradient and both moments of AdamW."""
_GRADIENT_BYTES = 4
"""What a pass finds before it is added."""
_SNAPSHOT_BYTES = 2 * 12
"""fp32 weight and moments, taken and then written as one file."""
_LAYER_WIDTHS = 18
"""Activations that a layer keeps of a token for the way back, in hidden sizes: norms, query, key,
value, attention's and three of the feed-forward block, which is about three times as wide."""
_LOGIT_COPIES = 3
_LOGIT_ROWS = 128
"""Positions whose logits exist at once."""


def trainable_parameters(tuning: TuningSpec, shapes: ModelShapes, *, labels: int = 1) -> Trained:
    """Raises InvalidHyperparameter for what the base does not have."""
    match tuning:
        case LoraTuningSpec():
            return Trained("lora", _adapter(tuning, shapes))
        case FullTuningSpec():
            every = sum(prod(s.shape) * max(1, s.count) for s in shapes.parameters)
            return Trained("overlay", every)
        case PartialTuningSpec():
            return _partial(tuning, shapes)
        case HeadTuningSpec(hidden_layers=hidden):
            widths = [shapes.hidden, *hidden, labels]
            return Trained("head", sum((a + 1) * b for a, b in itertools.pairwise(widths)))


def trained_bytes(trained: Trained, shapes: ModelShapes) -> int:
    """Weights, gradients and moments of a session."""
    return trained.parameters * (_STATE_BYTES + _GRADIENT_BYTES + shapes.element_bytes)


def stored_bytes(trained: Trained, shapes: ModelShapes) -> int:
    """Copies of weights and moments that are held while a checkpoint is written."""
    return trained.parameters * (_SNAPSHOT_BYTES + shapes.element_bytes)


def activation_bytes(size: PassSize, trained: Trained, shapes: ModelShapes) -> int:
    """What a pass holds at its height; with nothing to go back to, one layer at a time."""
    logits = min(size.scored, _LOGIT_ROWS) * shapes.vocabulary * 4 * _LOGIT_COPIES
    layers = max(1, len(shapes.layers))
    kept = 1 if trained.law == "head" else 1 + layers * trained.depth
    return round(size.tokens * shapes.hidden * _LAYER_WIDTHS * kept * shapes.element_bytes) + logits


def depth_of(names: Iterable[str], layers: int) -> float:
    """Share of the layers that a gradient goes back through to reach the lowest of these."""
    lowest = layers
    for name in names:
        numbers = [int(part) for part in name.split(".") if part.isdigit()]
        if numbers:
            lowest = min(lowest, numbers[0])
        elif "embed" in name:
            lowest = 0
    return (layers - lowest) / max(1, layers)


def _adapter(tuning: LoraTuningSpec, shapes: ModelShapes) -> int:
    targets = tuning.target_modules
    if targets != "all-linear":
        for target in targets:
            if not any(_is_target(name, target) for s in shapes.linears for name in _names(s)):
                raise InvalidHyperparameter(
                    f"target module {target!r} is no linear layer of this base",
                    param="tuning.target_modules",
                )
    total = 0
    for linear in shapes.linears:
        out, into = linear.shape
        size = tuning.rank * (out + into) + (out if tuning.use_dora else 0)
        chosen = (
            max(1, linear.count)
            if targets == "all-linear"
            else sum(any(_is_target(n, t) for t in targets) for n in _names(linear))
        )
        total += size * chosen
    return total


def _partial(tuning: PartialTuningSpec, shapes: ModelShapes) -> Trained:
    layers = len(shapes.layers)
    last = tuning.last_n_layers or 0
    if last > layers:
        raise InvalidHyperparameter(
            f"this base has {layers} layers, fewer than {last}; 'full' trains all of it",
            param="tuning.last_n_layers",
        )
    total = sum(shapes.layers[layers - last :])
    named = {shape.name: prod(shape.shape) for shape in shapes.behind} if last else {}
    for pattern in tuning.trainable:
        found = {
            name: prod(shape.shape)
            for shape in shapes.parameters
            for number, name in enumerate(_names(shape))
            if fnmatchcase(name, pattern) and not (last and shape.count and number >= layers - last)
        }
        if not found and not last:
            raise InvalidHyperparameter(
                f"'{pattern}' matches no weight of this base", param="tuning.trainable"
            )
        named |= found
    total += sum(named.values())
    depth = max(last / max(1, layers), depth_of(named, layers))
    return Trained("overlay", total, depth)


def _names(shape: NamedShape) -> Iterator[str]:
    if not shape.count:
        yield shape.name
    for number in range(shape.count):
        yield shape.name.replace("{}", str(number), 1)


def _is_target(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
