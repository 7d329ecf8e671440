"""What a session trains on what: any kind of tuning on whatever it starts from."""

from collections.abc import Mapping

import torch

from service.core.engine_protocol import (
    FullTuning,
    HeadSpec,
    HeadTuning,
    LoraTuning,
    OpenSession,
    PartialTuning,
)
from service.core.errors import AdapterCorrupt, InvalidHyperparameter
from service.engine.embedding import LoadedEmbedder
from service.engine.export.parameters import changed_parameters
from service.engine.generation.resident_adapters import check_fit
from service.engine.heads import Head
from service.engine.parts import DeltaWeights
from service.engine.runner import BaseRunner
from service.engine.training.head_part import HeadPart
from service.engine.training.lora_part import LoraPart, frozen_run
from service.engine.training.model import Start, TrainedModel
from service.engine.training.overlay_part import OverlayPart
from service.engine.training.weights import RowWeights
from service.engine.variants import Variants


def begin(variants: Variants, request: OpenSession, start: DeltaWeights | None) -> TrainedModel:
    """The model with its first weights.

    Raises InvalidHyperparameter for a tuning that does not fit the base or the start,
    InvalidRequest and AdapterCorrupt for a start that does not fit the base.
    """
    tuning, runner = request.tuning, variants.get(start.overlay if start else None)
    size = int(runner.base.model.config.get_text_config().hidden_size)
    head = _head_part(size, request.head, start)
    begun = _begin_rows(runner, start)
    if isinstance(tuning, LoraTuning):
        lora = LoraPart(runner, tuning, start.adapter if start else None)
        model = TrainedModel(begun, lora=lora, head=head)
    elif isinstance(tuning, FullTuning | PartialTuning):
        base = variants.get(None)
        overlay = OverlayPart(base, tuning, _merged(base, start))
        model = TrainedModel(begun, overlay=overlay, head=head)
    elif head is None or head.head.spec.kind == "value":
        raise InvalidHyperparameter(
            "tuning 'head' needs a head that classifies or scores rows", param="tuning"
        )
    else:
        model = TrainedModel(begun, head=head)
    model.weights.initialise(request.seed)
    return model


def begin_on_embedder(
    embedder: LoadedEmbedder, request: OpenSession, start: DeltaWeights | None
) -> TrainedModel:
    """A head on an embedding model's vectors. Raises as `begin` does."""
    spec = request.head
    if not isinstance(request.tuning, HeadTuning) or spec is None or spec.kind == "value":
        raise InvalidHyperparameter(
            f"{request.base!r} is an embedding model; only tuning 'head' works on it, with a head "
            "that classifies or scores rows",
            param="tuning",
        )
    head = _head_part(embedder.state.dimensions, spec, start)
    model = TrainedModel(Start(None, start), head=head, device=embedder.device)
    model.weights.initialise(request.seed)
    return model


def _begin_rows(runner: BaseRunner, start: DeltaWeights | None) -> Start:
    if start is None or start.adapter is None:
        return Start(RowWeights(runner), start)
    check_fit(runner, start.adapter)
    return Start(frozen_run(runner, start.adapter), start)


def _merged(base: BaseRunner, start: DeltaWeights | None) -> Mapping[str, torch.Tensor]:
    return {} if start is None else dict(changed_parameters(base.base, start))


def _head_part(size: int, spec: HeadSpec | None, start: DeltaWeights | None) -> HeadPart | None:
    """The start's head is trained further if it is the same kind of head, and dropped otherwise."""
    if spec is None:
        return None
    stored = start.head if start is not None else None
    continued = stored if stored is not None and stored.spec == spec else None
    head = Head(spec, size)
    if continued is None:
        return HeadPart(head)
    shapes = {name: tuple(tensor.shape) for name, tensor in continued.tensors.items()}
    if shapes != dict(head.shapes):
        raise AdapterCorrupt(f"the head of {start.id if start else spec.kind} has other shapes")
    return HeadPart(head, continued.tensors)
