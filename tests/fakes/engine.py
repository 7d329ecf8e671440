"""FakeEngine: an EngineCore without torch, for everything that stands above the engine.

It keeps the protocol's rules (sequence, epochs, slots, long poll, streams, abort) and makes up the
rest by rules a test can predict: a stream answers with the scripted tokens of its model or else
repeats its prompt, and a loss is `session.FIRST_LOSS / (1 + optimizer steps)`.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from safetensors.numpy import load

from service.core.engine_protocol import (
    AddRequest,
    BaseState,
    Calibration,
    Classified,
    ClassifyRequest,
    Command,
    CommandBatch,
    CommandsAccepted,
    Embedded,
    EmbedderState,
    EmbedRequest,
    EngineRole,
    EngineState,
    HeadSpec,
    LoraTuning,
    ModelRef,
    OpenSession,
    ResultBatch,
    ResumePoint,
    SessionOpened,
    pack_vector,
)
from service.core.errors import (
    AdapterCorrupt,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    ServiceError,
    SessionNotFound,
    StaleEpoch,
    TooManyRequests,
)
from service.core.manifest import MANIFEST_NAME, Manifest
from service.core.storage import ObjectStore
from service.engine.interface import FrameSink
from tests.fakes.artefacts import FakeArtefacts
from tests.fakes.session import FakeSession
from tests.fakes.stream import FakeStream, guide_error

FAKE_BASE = BaseState(
    name="smollm2-135m-instruct",
    digest="f" * 64,
    text_key=f"bases/{'f' * 64}/text.json",
    context_length=8192,
    parameters=1000,
    dtype="float32",
)


FAKE_EMBEDDER = EmbedderState(
    name="minilm-l6-v2",
    digest="e" * 64,
    text_key=f"bases/{'e' * 64}/text.json",
    context_length=64,
    dimensions=8,
)


class FakeEngine:
    """Start it with `with FakeEngine() as engine:`, or `serving.serve_engine(FakeEngine())`.

    Knobs, all thread-safe:
    `answers`: tokens by delta digest or base name. `failures`: errors by delta digest or base name.
    `requests`: the last streams that were asked for.
    `artefacts`: its imports and exports, with knobs of their own.
    `calibrations`: what it says of its speed.
    `classified`: every row that `classify` was asked about.
    `heads`: by delta digest, what `classify` answers with: see there.
    `hold_streams()`, `hold_training()` and `release()` stop and restart progress.
    `fail_commands(rule)`: the rule returns the error a command shall end with, or None.
    `loss_of`: of a session, the loss of each trained token.
    `lose_sessions()`: as after a restart. `die()`: every call and stream fails from now on.
    """

    def __init__(
        self,
        *,
        bases: Sequence[BaseState] = (FAKE_BASE,),
        store: ObjectStore | None = None,
        answers: Mapping[str, Sequence[int]] | None = None,
        training_slots: int = 8,
        max_streams: int = 256,
        id: str = "fake-0",
        url: str = "http://127.0.0.1:1",
        pool: str = "default",
        embedders: Sequence[EmbedderState] = (),
    ) -> None:
        self.bases = tuple(bases)
        self.embedders = tuple(embedders)
        self.calibrations: tuple[Calibration, ...] = ()
        self.answers: dict[str, Sequence[int]] = dict(answers or {})
        self.failures: dict[str, ServiceError] = {}
        self.heads: dict[str, HeadSpec] = {}
        self.classified: list[tuple[int, ...]] = []
        self.sessions: dict[str, FakeSession] = {}
        self.requests: deque[AddRequest] = deque(maxlen=64)
        self.artefacts = FakeArtefacts(self, store)
        self.identity = (id, url, pool)
        self._store = store
        self._slots, self._max_streams = training_slots, max_streams
        self.loss_of: Callable[[FakeSession], float] | None = None
        self._failure_of: Callable[[Command], ServiceError | None] = lambda _command: None
        self._epochs: dict[str, int] = {}
        self._ids = count(1)
        self._streams: list[FakeStream] = []
        self._streams_held = self._training_held = self._stopping = self._dead = False
        self._changed = threading.Condition()
        self._loop = threading.Thread(target=self._run, name="fake-engine", daemon=True)

    def __enter__(self) -> "FakeEngine":
        self._loop.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._loop.join()

    # Knobs

    def hold_streams(self) -> None:
        with self._changed:
            self._streams_held = True

    def hold_training(self) -> None:
        with self._changed:
            self._training_held = True

    def release(self) -> None:
        with self._changed:
            self._streams_held = self._training_held = False
            self._changed.notify_all()

    def fail_commands(self, rule: Callable[[Command], ServiceError | None]) -> None:
        with self._changed:
            self._failure_of = rule

    def set_slots(self, slots: int) -> None:
        with self._changed:
            self._slots = slots

    def lose_sessions(self) -> None:
        with self._changed:
            self.sessions.clear()
            self._changed.notify_all()

    def die(self) -> None:
        with self._changed:
            self._dead = True
            for stream in self._streams:
                stream.finish("error", EngineUnavailable("the engine died"))
            self._streams.clear()
            self.sessions.clear()
            self._changed.notify_all()

    # EngineCore

    def open_session(self, request: OpenSession) -> SessionOpened:
        with self._changed:
            self._check_alive()
            base = self._base(request.base)
            session = self._find_or_open(request)
            return SessionOpened(
                session=session.id,
                base_digest=base.digest,
                trainable_parameters=_trainable(request),
                next_seq=session.next_seq,
            )

    def append_commands(self, session: str, batch: CommandBatch) -> CommandsAccepted:
        with self._changed:
            next_seq = self._session(session).append(batch.commands)
            self._changed.notify_all()
            return CommandsAccepted(next_seq=next_seq)

    def wait_results(self, session: str, after: int, timeout_seconds: float) -> ResultBatch:
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._session(session).results) > after, timeout_seconds
            )
            results = tuple(self._session(session).results[after:])
            return ResultBatch(results=results, cursor=after + len(results))

    def close_session(self, session: str) -> None:
        with self._changed:
            self.sessions.pop(session, None)
            self._changed.notify_all()

    def add_request(self, request: AddRequest, sink: FrameSink) -> None:
        with self._changed:
            self._check_alive()
            if len(self._streams) >= self._max_streams:
                raise EngineOverloaded("the waiting line is full")
            stream = FakeStream(request, sink, self._answer(request.model))
            self.requests.append(request)
            if error := self._failure(request.model) or guide_error(request):
                stream.finish("error", error)
            else:
                self._streams.append(stream)
                self._changed.notify_all()

    def abort_request(self, request: str, sink: FrameSink) -> None:
        with self._changed:
            for stream in self._streams:
                if stream.request.request == request and stream.sink == sink:
                    self._streams.remove(stream)
                    stream.finish("abort")
                    return

    def embed(self, request: EmbedRequest) -> Embedded:
        """A row's vector is its number of tokens and its first ids."""
        with self._changed:
            self._check_alive()
            found = [e for e in self.embedders if e.name == request.model]
            if not found:
                raise ModelNotFound(f"this engine does not hold {request.model!r}")
            size = found[0].dimensions
            padded = [[len(row), *row, *[0] * size][:size] for row in request.rows]
            return Embedded(vectors=tuple(pack_vector(vector) for vector in padded))

    def classify(self, request: ClassifyRequest) -> Classified:
        """Label i of a row of n tokens has the logit −|n − 1 − i|, so that a row of one token is
        of the first label, one of two of the second …; a reward is the number of tokens."""
        with self._changed:
            self._check_alive()
            self.classified += request.rows
            if error := self._failure(request.model):
                raise error
            spec = self.heads.get(_name(request.model))
            if spec is None or spec.kind == "value":
                raise InvalidRequest("The model has no head.", param="model")
            lengths = [len(row) for row in request.rows]
            if spec.kind == "reward":
                return Classified(kind="reward", scores=tuple((float(n),) for n in lengths))
            return Classified(
                kind="classification",
                labels=spec.labels,
                multi_label=spec.multi_label,
                scores=tuple(
                    tuple(-abs(n - 1.0 - label) for label in range(spec.outputs)) for n in lengths
                ),
            )

    def state(self) -> EngineState:
        with self._changed:
            self._check_alive()
            id, url, pool = self.identity
            return EngineState(
                id=id,
                url=url,
                pool=pool,
                roles=(EngineRole.TRAIN, EngineRole.SERVE),
                bases=self.bases,
                free_slots=self._slots - len(self.sessions),
                loaded_adapters=(),
                active_streams=len(self._streams),
                embedders=self.embedders,
                calibrations=self.calibrations,
            )

    # The step loop

    def _run(self) -> None:
        with self._changed:
            while self._changed.wait_for(self._has_work_or_stops) and not self._stopping:
                if not self._training_held:
                    for session in tuple(self.sessions.values()):
                        if session.queue:
                            session.run_next(self._failure_of, self._store)
                if not self._streams_held:
                    self._streams = [stream for stream in self._streams if stream.step()]
                self._changed.notify_all()
                # Let callers in: the lock is otherwise taken again before they wake.
                self._changed.wait(0.0001)

    def _has_work_or_stops(self) -> bool:
        streams = bool(self._streams) and not self._streams_held
        queued = any(session.queue for session in self.sessions.values())
        return self._stopping or streams or (queued and not self._training_held)

    # Look-ups

    def check(self, model: ModelRef) -> None:
        """Raises what this engine answers for the model; it may be dead."""
        with self._changed:
            self._check_alive()
            if error := self._failure(model):
                raise error

    def _check_alive(self) -> None:
        if self._dead:
            raise EngineUnavailable("the engine died")

    def _base(self, name: str) -> BaseState | EmbedderState:
        for base in (*self.bases, *self.embedders):
            if base.name == name:
                return base
        raise ModelNotFound(f"this engine does not hold the base {name!r}")

    def _session(self, id: str) -> FakeSession:
        self._check_alive()
        if id not in self.sessions:
            raise SessionNotFound(f"no session {id!r}")
        return self.sessions[id]

    def _find_or_open(self, request: OpenSession) -> FakeSession:
        if request.epoch < self._epochs.get(request.job, 0):
            raise StaleEpoch(f"{request.job} has reached epoch {self._epochs[request.job]}")
        for session in tuple(self.sessions.values()):
            if session.request.job == request.job:
                if session.request.epoch == request.epoch:
                    return session
                del self.sessions[session.id]
        if len(self.sessions) >= self._slots:
            raise TooManyRequests("every training slot is taken")
        self._epochs[request.job] = request.epoch
        steps = 0 if request.resume is None else self._stored_steps(request.resume)
        session = FakeSession(
            f"session-{next(self._ids)}", request, steps=steps, loss_of=self.loss_of
        )
        self.sessions[session.id] = session
        return session

    def _stored_steps(self, point: ResumePoint) -> int:
        if self._store is None:
            raise AdapterCorrupt("this fake engine has no object store to resume from")
        manifest = self._store.get_bytes(f"{point.key}/{MANIFEST_NAME}")
        content = self._store.get_bytes(f"{point.key}/state.safetensors")
        listed = {file.name: file.sha256 for file in Manifest.from_bytes(manifest).files}
        proven = listed.get("state.safetensors") == hashlib.sha256(content).hexdigest()
        if hashlib.sha256(manifest).hexdigest() != point.digest or not proven:
            raise AdapterCorrupt(f"{point.key} is not what it was")
        return int(load(content)["steps"][0])

    def _answer(self, model: ModelRef) -> Sequence[int] | None:
        return self.answers.get(_name(model))

    def _failure(self, model: ModelRef) -> ServiceError | None:
        if not any(holder.name == model.base for holder in (*self.bases, *self.embedders)):
            return ModelNotFound(f"this engine does not hold the base {model.base!r}")
        return self.failures.get(_name(model))


def _name(model: ModelRef) -> str:
    return model.delta.digest if model.delta else model.base


def _trainable(request: OpenSession) -> int:
    return 16 * request.tuning.rank if isinstance(request.tuning, LoraTuning) else 64
