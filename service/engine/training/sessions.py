"""The open training sessions: slots, epochs, beats. Called by the front's threads and the loop."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from service.core.engine_protocol import (
    CommandBatch,
    CommandsAccepted,
    DeltaRef,
    OpenSession,
    ResultBatch,
    SessionOpened,
)
from service.core.errors import (
    ModelNotFound,
    SessionNotFound,
    StaleEpoch,
    TooManyRequests,
)
from service.engine.embedding import LoadedEmbedder
from service.engine.environment import environment_of
from service.engine.parts import AdapterSource, DeltaWeights, EngineLimits
from service.engine.training.beginning import begin, begin_on_embedder
from service.engine.training.features import FeatureCache, base_features
from service.engine.training.optimizer import AdamW
from service.engine.training.session import Reads, Session
from service.engine.training.states import restore_state
from service.engine.variants import Variants


class TrainingSessions:
    """Every method takes the engine's lock itself, unless its name says that it is held."""

    def __init__(
        self,
        variants: Mapping[str, Variants],
        embedders: Mapping[str, LoadedEmbedder],
        source: AdapterSource,
        limits: EngineLimits,
        lock: threading.RLock,
        wake: threading.Condition,
    ) -> None:
        """`wake`, on the engine's lock, is notified when there is something to compute."""
        self._variants = variants
        self._embedders = embedders
        self._source = source
        self._limits = limits
        self._lock = lock
        self._wake = wake
        self._ids = count(1)
        self._sessions: dict[str, Session] = {}
        self._epochs: dict[str, int] = {}

    @property
    def free_slots(self) -> int:
        return max(0, self._limits.training_slots - len(self._sessions))

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)

    def open(self, request: OpenSession) -> SessionOpened:
        """See EngineCore."""
        if request.base not in self._variants and request.base not in self._embedders:
            raise ModelNotFound(f"this engine does not hold the base {request.base!r}")
        with self._lock:
            session, is_new = self._find_or_open_held(request)
        if is_new:
            with self._closed_on_error(session):
                self._prepare(session)
        session.ready.wait()
        with self._lock:
            self._get_held(session.id)
            return SessionOpened(
                session=session.id,
                base_digest=session.base.digest,
                trainable_parameters=session.model.weights.size,
                next_seq=session.next_seq,
                environment=environment_of(session.base),
            )

    def append(self, session: str, batch: CommandBatch) -> CommandsAccepted:
        """See EngineCore."""
        with self._lock:
            next_seq = self._get_held(session).append(batch.commands)
            self._wake.notify_all()
            return CommandsAccepted(next_seq=next_seq)

    def wait_results(self, session: str, after: int, timeout_seconds: float) -> ResultBatch:
        """See EngineCore."""
        with self._lock:
            found = self._get_held(session)
            found.waiters += 1
            try:
                found.changed.wait_for(
                    lambda: found.is_closed or len(found.results) > after, timeout_seconds
                )
            finally:
                found.waiters -= 1
                found.beat()
            self._get_held(session)
            results = tuple(found.results[after:])
            return ResultBatch(results=results, cursor=after + len(results))

    def close(self, session: str) -> None:
        """See EngineCore."""
        with self._lock:
            self._close_held(session)

    def close_silent_held(self) -> None:
        """Free sessions whose worker has gone."""
        oldest = time.monotonic() - self._limits.session_seconds
        for session in tuple(self._sessions.values()):
            is_silent = session.last_beat < oldest and not session.waiters
            if is_silent and session.ready.is_set():
                self._close_held(session.id)

    def close_all_held(self) -> None:
        for id in tuple(self._sessions):
            self._close_held(id)

    def ready_held(self) -> list[Session]:
        """Sessions with something to do, in the order of their opening."""
        return [
            session
            for session in self._sessions.values()
            if session.queue and session.ready.is_set()
        ]

    def _find_or_open_held(self, request: OpenSession) -> tuple[Session, bool]:
        if request.epoch < self._epochs.get(request.job, 0):
            raise StaleEpoch(f"{request.job} has reached epoch {self._epochs[request.job]}")
        for session in tuple(self._sessions.values()):
            if session.request.job == request.job:
                if session.request.epoch == request.epoch:
                    session.beat()
                    return session, False
                self._close_held(session.id)
        if not self.free_slots:
            raise TooManyRequests("every training slot is taken")
        self._epochs[request.job] = request.epoch
        session = Session(
            id=f"session-{next(self._ids)}",
            request=request,
            reads=self._reads(request.base),
            changed=threading.Condition(self._lock),
        )
        self._sessions[session.id] = session
        return session, True

    def _prepare(self, session: Session) -> None:
        request = session.request
        start = None if request.start_from is None else self._load(request.start_from)
        if request.base in self._embedders:
            embedder = self._embedders[request.base]
            model = begin_on_embedder(embedder, request, start)
            session.features = FeatureCache(embedder.features)
        else:
            model = begin(self._variants[request.base], request, start)
            if model.is_head_alone and request.head is not None:
                session.features = FeatureCache(base_features(model.now, request.head))
        session.model, session.optimizer = model, AdamW(model.weights)
        if request.resume is not None:
            restore_state(session, self._source.load_state(request.resume))
        session.ready.set()

    def _reads(self, base: str) -> Reads:
        embedder = self._embedders.get(base)
        if embedder is not None:
            return Reads(embedder.as_base(), embedder.vocabulary)
        runner = self._variants[base].get(None)
        return Reads(runner.base, runner.vocabulary)

    def _load(self, ref: DeltaRef) -> DeltaWeights:
        """With the absolute keys of its files, which what is trained on it may share."""
        delta = self._source.get_loaded(ref) or self._source.load(ref).result()
        folder = ref.key.rstrip("/")
        located = {
            name: replace(file, key=file.key or f"{folder}/{name}")
            for name, file in delta.files.items()
        }
        return replace(delta, files=located)

    @contextmanager
    def _closed_on_error(self, session: Session) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close(session.id)
            raise

    def _get_held(self, id: str) -> Session:
        session = self._sessions.get(id)
        if session is None:
            raise SessionNotFound(f"no session {id!r}")
        return session

    def _close_held(self, id: str) -> None:
        session = self._sessions.pop(id, None)
        if session is not None:
            session.close()
