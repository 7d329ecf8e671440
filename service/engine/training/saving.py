"""A session's weights on their way to the object store."""

import json
from collections.abc import Callable, Mapping

import torch

from service.core.engine_protocol import Save, StoredFile
from service.engine.parts import AdapterSink
from service.engine.training.session import Session

Storing = Callable[[], tuple[StoredFile, ...]]


def take_snapshot(session: Session, command: Save, sink: AdapterSink) -> Storing:
    """Copy what is to be saved; the result writes it, on whatever thread calls it."""
    request, base = session.request, session.runner.base
    prefix = f"{request.key_prefix}{command.name}/"
    step = int(command.name.removeprefix("step-"))
    writers: list[Storing] = []
    if "adapter" in command.parts:
        weights = session.adapter.snapshot(f"{request.job}-{command.name}")
        writers.append(
            lambda: sink.store_adapter(prefix, weights, base=base, job=request.job, step=step)
        )
    if "state" in command.parts:
        tensors, metadata = _state(session, step)
        writers.append(lambda: sink.store_state(prefix, tensors, metadata))
    return lambda: tuple(file for write in writers for file in write())


def _state(session: Session, step: int) -> tuple[Mapping[str, torch.Tensor], Mapping[str, str]]:
    """Weights and moments by layer, so that the file does not depend on how they lie in memory."""
    adapter, optimizer = session.adapter, session.optimizer
    tensors: dict[str, torch.Tensor] = {}
    for kind, flat in (
        ("weights", adapter.weights),
        ("first_moment", optimizer.first_moment),
        ("second_moment", optimizer.second_moment),
    ):
        copied = flat.detach().to("cpu", copy=True)
        for name, pair in adapter.cut(copied).items():
            tensors[f"{kind}.{name}.a"], tensors[f"{kind}.{name}.b"] = pair.a, pair.b
    metadata = {
        "format": "1",
        "job": session.request.job,
        "step": str(step),
        "optimizer_steps": str(optimizer.steps),
        "seed": str(session.request.seed),
        "base_digest": session.runner.base.digest,
        "tuning": json.dumps(adapter.tuning.model_dump(mode="json"), sort_keys=True),
    }
    return tensors, metadata
