"""The step loop: one thread that owns the device and interleaves serving with training.

Each turn gives every open stream a token, computes a chunk of waiting prompts, sends the frames,
and runs one pass of training, so at least one decode step lies between two micro-batches.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from service.core.engine_protocol import (
    AddRequest,
    BaseState,
    Classified,
    ClassifyRequest,
    CommandBatch,
    CommandsAccepted,
    Embedded,
    EmbedRequest,
    EngineState,
    OpenSession,
    ResultBatch,
    SessionOpened,
)
from service.core.errors import EngineOverloaded, EngineUnavailable, ModelNotFound
from service.engine.artefacts import Artefacts
from service.engine.calibration import CalibrationBook, SelfCalibration, TrainingWatch
from service.engine.classification import BaseReader, ClassificationQueue, EmbedderReader
from service.engine.embedding import EmbeddingQueue, LoadedEmbedder
from service.engine.export import Exports
from service.engine.generation.frames import FrameCollector
from service.engine.generation.streams import BaseStreams
from service.engine.interface import FrameSink
from service.engine.parts import (
    AdapterSink,
    AdapterSource,
    EngineIdentity,
    EngineLimits,
    LoadedBase,
)
from service.engine.probing import LogitQueue, LogitRows
from service.engine.runner import BaseRunner
from service.engine.training.loop import TrainingLoop
from service.engine.training.sessions import TrainingSessions
from service.engine.variants import Variants

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0
_STORING_THREADS = 2


class Engine:
    """An EngineCore over resident bases. `start` it once, `close` it once."""

    def __init__(
        self,
        bases: Sequence[LoadedBase],
        source: AdapterSource,
        sink: AdapterSink,
        limits: EngineLimits,
        identity: EngineIdentity,
        embedders: Sequence[LoadedEmbedder] = (),
        exports: Exports | None = None,
        *,
        books: Mapping[str, CalibrationBook] | None = None,
        measures_itself: bool = False,
    ) -> None:
        """Without `exports` none are made. `books`, by base, take what is measured;
        `measures_itself` fills them while idle.

        Raises ConfigurationError for a base whose architecture is not supported.
        """
        self._bases = tuple(bases)
        self._source = source
        self._limits = limits
        self._identity = identity
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._inbox: list[Callable[[], None]] = []
        self._new_streams = 0
        self._is_stopping = False
        self._failure: BaseException | None = None
        self._frames = FrameCollector()
        variants = {
            base.name: Variants(
                BaseRunner(base, activation_bytes=limits.activation_bytes),
                limits.overlay_memory_bytes,
            )
            for base in bases
        }
        self._streams = {
            name: BaseStreams(of_base, source, limits, self._frames, self._notify)
            for name, of_base in variants.items()
        }
        by_name = {embedder.state.name: embedder for embedder in embedders}
        self._sessions = TrainingSessions(variants, by_name, source, limits, self._lock, self._wake)
        self._storing = ThreadPoolExecutor(_STORING_THREADS, thread_name_prefix="engine-store")
        self._books = dict(books or {})
        self._training = TrainingLoop(
            self._sessions,
            sink,
            limits,
            self._lock,
            self._storing,
            self._streams,
            TrainingWatch(self._books),
        )
        self._calibrating = SelfCalibration(self._books if measures_itself else {}, variants)
        self._embedders = tuple(embedder.state for embedder in embedders)
        self._embeddings = EmbeddingQueue(embedders)
        self._logits = LogitQueue()
        self.artefacts = Artefacts(variants, source, exports or Exports(None), self._compute)
        self._classifying = ClassificationQueue(
            {
                **{name: EmbedderReader(embedder) for name, embedder in by_name.items()},
                **{name: BaseReader(of_base, source) for name, of_base in variants.items()},
            },
            source,
            turn_tokens=limits.prefill_chunk_tokens,
            wake=self._notify,
        )
        self._new_classifications = 0
        self._thread = threading.Thread(target=self._run, name="engine-loop", daemon=True)

    @property
    def failed(self) -> BaseException | None:
        """What ended the step loop. Nothing is computed any more, so the process should end too."""
        return self._failure

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all streams and sessions, wait for running uploads."""
        with self._lock:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        self.artefacts.close()
        self._storing.shutdown(wait=True)

    # EngineCore

    def open_session(self, request: OpenSession) -> SessionOpened:
        self._check_alive()
        return self._sessions.open(request)

    def append_commands(self, session: str, batch: CommandBatch) -> CommandsAccepted:
        self._check_alive()
        return self._sessions.append(session, batch)

    def wait_results(self, session: str, after: int, timeout_seconds: float) -> ResultBatch:
        self._check_alive()
        return self._sessions.wait_results(session, after, timeout_seconds)

    def close_session(self, session: str) -> None:
        self._sessions.close(session)

    def add_request(self, request: AddRequest, sink: FrameSink) -> None:
        with self._lock:
            self._check_alive()
            waiting = self._new_streams + sum(s.waiting for s in self._streams.values())
            if waiting >= self._limits.max_waiting:
                raise EngineOverloaded(f"{waiting} streams are waiting already")
            self._new_streams += 1
            self._post(lambda: self._add(request, sink))

    def abort_request(self, request: str, sink: FrameSink) -> None:
        with self._lock:
            self._post(lambda: self._abort(request, sink))

    def embed(self, request: EmbedRequest) -> Embedded:
        with self._lock:
            self._check_alive()
            done = self._embeddings.add(request)
            self._wake.notify_all()
        return done.result()

    def classify(self, request: ClassifyRequest) -> Classified:
        done: Future[Classified] = Future()
        with self._lock:
            self._check_alive()
            waiting = self._new_classifications + self._classifying.waiting
            if waiting >= self._limits.max_waiting:
                raise EngineOverloaded(f"{waiting} requests to classify are waiting already")
            self._new_classifications += 1
            self._post(lambda: self._add_classification(request, done))
        return done.result()

    def state(self) -> EngineState:
        self._check_alive()
        with self._lock:
            active = self._new_streams + sum(s.active for s in self._streams.values())
            free_slots = self._sessions.free_slots
        identity = self._identity
        return EngineState(
            id=identity.id,
            url=identity.url,
            pool=identity.pool,
            roles=identity.roles,
            bases=tuple(_describe(base) for base in self._bases),
            free_slots=free_slots,
            loaded_adapters=self._source.loaded_ids(),
            active_streams=active,
            embedders=self._embedders,
            calibrations=tuple(book.calibration() for book in self._books.values()),
        )

    # The step loop

    def _run(self) -> None:
        try:
            while self._take_inbox():
                self._step()
        except BaseException as error:
            logger.critical("the step loop failed", exc_info=error)
            self._failure = error
        finally:
            self._end_everything()

    def _take_inbox(self) -> bool:
        """Wait for work and apply what the front has posted; False when it is time to stop."""
        idle = min(_IDLE_SECONDS, self._limits.session_seconds / 4)
        with self._lock:
            self._wake.wait_for(self._is_awake_held, idle)
            self._sessions.close_silent_held()
            posted, self._inbox = self._inbox, []
            goes_on = not self._is_stopping
        # Without the lock: the adapter store has locks of its own and calls `_notify`.
        for apply in posted:
            apply()
        return goes_on

    def _is_awake_held(self) -> bool:
        return self._calibrating.is_running or self._has_work_held()

    def _has_work_held(self) -> bool:
        return (
            self._is_stopping
            or bool(self._inbox)
            or self._embeddings.has_work
            or self._logits.has_work
            or self._classifying.has_work
            or any(streams.can_step for streams in self._streams.values())
            or bool(self._sessions.ready_held())
        )

    def _step(self) -> None:
        for streams in self._streams.values():
            if streams.can_step:
                streams.step()
        self._frames.flush()
        if self._embeddings.has_work:
            self._embeddings.step()
        if self._logits.has_work:
            self._logits.step()
        if self._classifying.has_work:
            self._classifying.step()
        streaming = any(streams.active for streams in self._streams.values())
        self._training.step(streaming=streaming)
        self._measure_if_idle(streaming=streaming)

    def _measure_if_idle(self, *, streaming: bool) -> None:
        with self._lock:
            is_idle = not (streaming or self._has_work_held() or self._sessions.open_sessions)
        if not is_idle:
            self._calibrating.interrupt()
            return
        if not self._calibrating.is_running:
            for book in self._books.values():
                book.note_resident()
        self._calibrating.step()

    def _compute(self, rows: LogitRows) -> None:
        with self._lock:
            self._check_alive()
            self._logits.add(rows)
            self._wake.notify_all()

    def _add(self, request: AddRequest, sink: FrameSink) -> None:
        streams = self._streams.get(request.model.base)
        if streams is None:
            error = ModelNotFound(f"this engine does not hold the base {request.model.base!r}")
            self._frames.finish(sink, request.request, "error", error)
        else:
            streams.add(request, sink)
        with self._lock:
            self._new_streams -= 1

    def _add_classification(self, request: ClassifyRequest, done: Future[Classified]) -> None:
        self._classifying.add(request, done)
        with self._lock:
            self._new_classifications -= 1

    def _abort(self, request: str, sink: FrameSink) -> None:
        for streams in self._streams.values():
            streams.abort(request, sink)

    def _end_everything(self) -> None:
        error = EngineUnavailable("the engine's step loop has ended")
        with self._lock:
            self._is_stopping = True
            posted, self._inbox = self._inbox, []
            self._sessions.close_all_held()
            self._embeddings.fail_all(error)
            self._logits.fail_all(error)
        for apply in posted:
            apply()
        self._classifying.fail_all(error)
        for streams in self._streams.values():
            streams.close(error)
        self._frames.flush()

    def _post(self, apply: Callable[[], None]) -> None:
        self._inbox.append(apply)
        self._wake.notify_all()

    def _notify(self) -> None:
        with self._lock:
            self._wake.notify_all()

    def _check_alive(self) -> None:
        if self._is_stopping:
            raise EngineUnavailable("the engine's step loop has ended")


def _describe(base: LoadedBase) -> BaseState:
    return BaseState(
        name=base.name,
        digest=base.digest,
        text_key=base.text_key,
        context_length=base.context_length,
        parameters=sum(parameter.numel() for parameter in base.model.parameters()),
        dtype=str(base.dtype).removeprefix("torch."),
    )
