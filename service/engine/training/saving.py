"""A session's weights on their way to the object store."""

from collections.abc import Callable

from service.core.engine_protocol import Save, StoredFile
from service.engine.parts import AdapterSink
from service.engine.training.session import Session
from service.engine.training.states import take_state

Storing = Callable[[], tuple[StoredFile, ...]]


def take_snapshot(session: Session, command: Save, sink: AdapterSink) -> Storing:
    """Copy what is to be saved; the result writes it, on whatever thread calls it."""
    request, base = session.request, session.base
    prefix = f"{request.key_prefix}{command.name}/"
    step = int(command.name.removeprefix("step-"))
    writers: list[Storing] = []
    if "adapter" in command.parts:
        id = f"{request.job}-{command.name}"
        delta = session.model.snapshot(id, temperature=command.temperature)
        writers.append(
            lambda: sink.store_delta(prefix, delta, base=base, job=request.job, step=step)
        )
    if "state" in command.parts:
        state = take_state(session, step)
        writers.append(lambda: sink.store_state(prefix, state.tensors, state.metadata))
    return lambda: tuple(file for write in writers for file in write())
