"""The seam between the engine's front (HTTP, WebSocket) and the step loop that owns the device.

`server/` talks to an `EngineCore`; the real one is `scheduler.Engine`, the tests' fake needs no
torch. All methods may be called from any thread and raise classes of `service.core.errors`.
"""

from collections.abc import Callable
from typing import Protocol

from service.core.engine_protocol import (
    AddRequest,
    BaseShapes,
    Classified,
    ClassifyRequest,
    CommandBatch,
    CommandsAccepted,
    Embedded,
    EmbedRequest,
    EngineState,
    ExportRequest,
    ExportState,
    OpenSession,
    Probed,
    ProbeRequest,
    ResultBatch,
    SessionOpened,
    StepFrame,
)

FrameSink = Callable[[StepFrame], None]
"""Called by the step loop's thread, once a step; must return at once."""


class ArtefactCore(Protocol):
    """What the front needs of an engine for models on their way in and out."""

    def shapes(self, base: str) -> BaseShapes:
        """What an adapter of this base must fit. Raises ModelNotFound."""

    def probe(self, request: ProbeRequest) -> Probed:
        """Load an adapter, and block until the rows are computed with it, without it, and by its
        definition.

        Raises ModelNotFound, AdapterCorrupt, UnsupportedParameter, InvalidRequest for rows the
        model cannot take, StorageUnavailable, EngineOverloaded, EngineUnavailable.
        """

    def start_export(self, request: ExportRequest) -> ExportState:
        """Begin an export, or find the one with this id. Raises what `probe` raises, and
        ExportRefused for what this base cannot be written as."""

    def export_state(self, export: str) -> ExportState:
        """How far it is. Raises ExportLost."""

    def cancel_export(self, export: str) -> None:
        """Stop it and forget it; one that is unknown is no error."""


class EngineCore(Protocol):
    """What the front needs of the step loop."""

    def open_session(self, request: OpenSession) -> SessionOpened:
        """Open, or find again, the session of (job, epoch).

        Raises StaleEpoch when the job has a session of a higher epoch, ModelNotFound for an
        unknown base, TooManyRequests when every slot is taken, AdapterCorrupt and
        StorageUnavailable for stored weights or a state to resume from that cannot be used.
        """

    def append_commands(self, session: str, batch: CommandBatch) -> CommandsAccepted:
        """Queue commands. Those with a known `seq` are dropped (their results are kept).

        Raises SequenceGap and SessionNotFound.
        """

    def wait_results(self, session: str, after: int, timeout_seconds: float) -> ResultBatch:
        """Block until there is a result past `after`, or the time is up (then: empty).

        Counts as the session's beat. Raises SessionNotFound.
        """

    def close_session(self, session: str) -> None:
        """Free the session's memory. A closed or unknown session is no error."""

    def add_request(self, request: AddRequest, sink: FrameSink) -> None:
        """Start a stream; everything about it, failures too, arrives through `sink`.

        Raises EngineOverloaded when the waiting line is full.
        """

    def abort_request(self, request: str, sink: FrameSink) -> None:
        """End a stream of this sink; one that already ended is no error."""

    def embed(self, request: EmbedRequest) -> Embedded:
        """Block until every row has its vector.

        Raises ModelNotFound, EngineOverloaded, EngineUnavailable.
        """

    @property
    def artefacts(self) -> ArtefactCore:
        """Imports and exports of models."""

    def classify(self, request: ClassifyRequest) -> Classified:
        """Block until the model's head has looked at every row.

        Raises ModelNotFound, InvalidRequest for a model without a head and for rows it cannot
        take, AdapterCorrupt, StorageUnavailable, EngineOverloaded, EngineUnavailable.
        """

    def state(self) -> EngineState:
        """A snapshot for the registry."""
