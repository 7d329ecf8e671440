"""Imports and exports of the fake engine: answers that a test sets, and files that name their
format."""

import hashlib
from typing import Protocol

from service.core.engine_protocol import (
    BaseShapes,
    BaseState,
    Comparison,
    ExportRequest,
    ExportState,
    ModelRef,
    Probed,
    ProbeRequest,
    StoredFile,
)
from service.core.errors import ExportLost
from service.core.storage import ObjectStore

FAKE_LINEARS = {"model.layers.0.self_attn.q_proj": (8, 8)}
"""One layer, the one that fake sessions adapt."""

ALIKE = Comparison(
    tokens=10,
    median_difference=1e-6,
    largest_difference=2e-6,
    top_token_agreement=1.0,
    difference_from_base=0.4,
    effect=0.4,
    bound=2e-3,
    formats=("float32", "float32"),
    is_parity=True,
)


class Owner(Protocol):
    """The fake engine, as far as it is needed here."""

    bases: tuple[BaseState, ...]

    def check(self, model: ModelRef) -> None:
        """Raises what the engine answers for this model."""


class FakeArtefacts:
    """`probed` is what probes find, `exports` are the states by id; `hold` keeps new ones
    running."""

    def __init__(self, owner: Owner, store: ObjectStore | None) -> None:
        self.probed = Probed(is_finite=True, comparison=ALIKE)
        self.exports: dict[str, ExportState] = {}
        self.requests: list[ExportRequest] = []
        self.hold = False
        self._owner = owner
        self._store = store

    def shapes(self, base: str) -> BaseShapes:
        self._owner.check(ModelRef(base=base))
        (digest,) = (held.digest for held in self._owner.bases if held.name == base)
        return BaseShapes(digest=digest, linears=FAKE_LINEARS)

    def probe(self, request: ProbeRequest) -> Probed:
        self._owner.check(request.model)
        return self.probed

    def start_export(self, request: ExportRequest) -> ExportState:
        self._owner.check(request.model)
        if request.id not in self.exports:
            self.requests.append(request)
            running = ExportState(id=request.id, status="running", progress=0.5)
            self.exports[request.id] = running if self.hold else self._stored(request)
        return self.exports[request.id]

    def export_state(self, export: str) -> ExportState:
        if export not in self.exports:
            raise ExportLost(f"no export {export!r}")
        return self.exports[export]

    def cancel_export(self, export: str) -> None:
        self.exports.pop(export, None)

    def _stored(self, request: ExportRequest) -> ExportState:
        content = request.format.value.encode()
        if self._store is not None:
            self._store.put_bytes(request.key, content)
        digest = hashlib.sha256(content).hexdigest()
        file = StoredFile(name=f"model.{request.format}", bytes=len(content), sha256=digest)
        return ExportState(
            id=request.id, status="stored", progress=1.0, file=file, certificate={"proven": True}
        )
