"""A training state: weights and moments by name, enough to go on as if nothing had happened.

By name, so that the file does not depend on how they lie in memory.
"""

import json
from collections.abc import Iterator, Mapping

import torch

from service.core.errors import AdapterCorrupt
from service.engine.parts import TrainingState
from service.engine.training.session import Session

_FORMAT = "1"


def take_state(session: Session, step: int) -> TrainingState:
    """A copy that training leaves alone, on the CPU."""
    tensors: dict[str, torch.Tensor] = {}
    for kind, flat in _flat_tensors(session):
        copied = flat.detach().to("cpu", copy=True)
        for name, tensor in session.model.weights.cut(copied).items():
            tensors[f"{kind}.{name}"] = tensor
    metadata = _owner(session) | {
        "job": session.request.job,
        "step": str(step),
        "optimizer_steps": str(session.optimizer.steps),
    }
    return TrainingState(tensors, metadata)


def restore_state(session: Session, state: TrainingState) -> None:
    """Put a session where `take_state` found another. Raises AdapterCorrupt for a state of
    another base, tuning or seed."""
    for name, expected in _owner(session).items():
        if state.metadata.get(name) != expected:
            raise AdapterCorrupt(
                f"the training state has {name} {state.metadata.get(name)!r}, not {expected!r}"
            )
    with torch.no_grad():
        for kind, flat in _flat_tensors(session):
            for name, into in session.model.weights.cut(flat).items():
                _copy(state.tensors, f"{kind}.{name}", into)
    session.optimizer.steps = int(state.metadata["optimizer_steps"])
    session.model.weights.refresh()


def _flat_tensors(session: Session) -> Iterator[tuple[str, torch.Tensor]]:
    yield "weights", session.model.weights.flat
    yield "first_moment", session.optimizer.first_moment
    yield "second_moment", session.optimizer.second_moment


def _owner(session: Session) -> dict[str, str]:
    """What a state belongs to: with another of these the job would be another."""
    request = session.request
    head = None if request.head is None else request.head.model_dump(mode="json")
    return {
        "format": _FORMAT,
        "seed": str(request.seed),
        "base_digest": session.base.digest,
        "tuning": json.dumps(request.tuning.model_dump(mode="json"), sort_keys=True),
        "head": json.dumps(head, sort_keys=True),
    }


def _copy(tensors: Mapping[str, torch.Tensor], name: str, into: torch.Tensor) -> None:
    stored = tensors.get(name)
    if stored is None or stored.shape != into.shape or stored.dtype != into.dtype:
        raise AdapterCorrupt(f"the training state has no tensor {name!r} of this job's shape")
    into.copy_(stored)
