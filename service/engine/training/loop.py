"""Training's part of the step loop: commands in order, micro-batches of several jobs a pass."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from functools import partial

import torch

from service.core.engine_protocol import (
    Command,
    Forward,
    ForwardBackward,
    OptimStep,
    OptimStepDone,
    Result,
    Sample,
    Save,
    SaveSnapshotTaken,
    SaveStored,
)
from service.core.errors import InvalidRequest, OutOfMemory, ServiceError, TrainingDiverged
from service.engine.calibration import TrainingWatch
from service.engine.generation.streams import BaseStreams
from service.engine.parts import AdapterSink, EngineLimits
from service.engine.training.head_passes import check_reads_head
from service.engine.training.losses import check_rows
from service.engine.training.pass_parts import PartOutcome
from service.engine.training.reports import first_not_finite
from service.engine.training.sampling import SampleRun
from service.engine.training.saving import Storing, take_snapshot
from service.engine.training.session import Computation, Session
from service.engine.training.sessions import TrainingSessions
from service.engine.training.shares import Share, choose, compute

logger = logging.getLogger(__name__)


class TrainingLoop:
    """Used by the step loop alone. What a command raises ends its session and nothing else."""

    def __init__(
        self,
        sessions: TrainingSessions,
        sink: AdapterSink,
        limits: EngineLimits,
        lock: threading.RLock,
        storing: Executor,
        streams: Mapping[str, BaseStreams],
        watch: TrainingWatch,
    ) -> None:
        """`streams`, by base, draw what a `sample` command asks for; `watch` measures."""
        self._sessions = sessions
        self._sink = sink
        self._limits = limits
        self._lock = lock
        self._storing = storing
        self._streams = streams
        self._watch = watch
        self._sampling: dict[Session, SampleRun] = {}
        self._turn = 0

    def step(self, *, streaming: bool) -> None:
        """The due optimizer steps, snapshots and samples, then one pass.

        `streaming` keeps the pass short, because somebody waits for the next token.
        """
        with self._lock:
            ready = self._sessions.ready_held()
            open_sessions = self._sessions.open_sessions
        self._watch.look(ready, open_sessions=open_sessions)
        self._abort_sampling_of_ended()
        for session in ready:
            self._run_instant_commands(session)
        shares = [share for session in ready if (share := self._begin(session))]
        if shares:
            self._turn += 1
            first = self._turn % len(shares)
            limits = self._limits
            budget = limits.streaming_merged_tokens if streaming else limits.merged_tokens
            self._run_pass(choose([*shares[first:], *shares[:first]], budget))

    def _run_instant_commands(self, session: Session) -> None:
        while (command := self._head(session)) is not None:
            if isinstance(command, OptimStep):
                self._guard(session, command.seq, partial(self._optimize, session, command))
            elif isinstance(command, Save):
                self._guard(session, command.seq, partial(self._save, session, command))
            elif isinstance(command, Sample):
                self._guard(session, command.seq, partial(self._sample, session, command))
                if session in self._sampling:
                    return  # it goes on
            else:
                return

    def _head(self, session: Session) -> Command | None:
        with self._lock:
            return session.queue[0] if session.queue else None

    def _optimize(self, session: Session, command: OptimStep) -> None:
        with self._watch.instant(session, command):
            norm = session.optimizer.step(command)
        done = OptimStepDone(seq=command.seq, grad_norm=norm, skipped=norm is None)
        self._complete(session, done)

    def _save(self, session: Session, command: Save) -> None:
        with self._watch.instant(session, command):
            store = take_snapshot(session, command, self._sink)
        self._complete(session, SaveSnapshotTaken(seq=command.seq))
        self._storing.submit(self._store, session, command, store)

    def _sample(self, session: Session, command: Sample) -> None:
        """Begin it, let it go on, or take its answers."""
        run = self._sampling.get(session)
        if run is None:
            run = self._sampling[session] = self._begin_sampling(session, command)
        run.feed()
        if run.is_done:
            del self._sampling[session]
            done = run.result()
            self._watch.sampled(session, command, done)
            self._complete(session, done)

    def _begin_sampling(self, session: Session, command: Sample) -> SampleRun:
        model = session.model.served(session.id)
        streams = self._streams[session.base.name]
        places = max(1, self._limits.max_streams // 2)
        return SampleRun(session, command, model, streams, places=places)

    def _abort_sampling_of_ended(self) -> None:
        for session, run in tuple(self._sampling.items()):
            if session.is_closed or session.has_failed:
                run.abort()
                del self._sampling[session]

    def _store(self, session: Session, command: Save, store: Storing) -> None:
        """On a thread of its own."""
        try:
            stored = SaveStored(seq=command.seq, files=store())
        except Exception as error:
            self._fail(session, command.seq, error)
            return
        with self._lock:
            session.answer(stored)

    def _begin(self, session: Session) -> Share | None:
        """The session's part in the next pass, if it has a computation or can begin one."""
        command = self._head(session)
        if not isinstance(command, Forward | ForwardBackward):
            return None  # nothing, or what has only just been appended
        if session.computation is None:
            self._guard(session, command.seq, partial(self._start_computing, session, command))
        computation = session.computation
        if computation is None:
            return None
        if not computation.remaining:  # a command without rows
            self._finish(session, computation)
            return None
        return Share(session, computation)

    def _start_computing(self, session: Session, command: Forward | ForwardBackward) -> None:
        report = command.report if isinstance(command, Forward) else ()
        check_rows(command.loss, report, session.request.head, command.rows)
        if session.features is not None:
            check_reads_head(command.loss, report)
        if isinstance(command, Forward) and command.at_start and {"values", "scores"} & {*report}:
            raise InvalidRequest("'at_start' reports no values and scores: a head has only its own")
        session.computation = Computation.begin(
            command,
            session.reads,
            self._limits.micro_batch_tokens,
            # A head alone reads features of rows apart, and dropout is each row's own.
            share=session.features is None
            and (isinstance(command, Forward) or not session.model.dropout),
        )

    def _run_pass(self, shares: Sequence[Share]) -> None:
        try:
            with self._measured(shares):
                outcomes = compute(shares)
        except torch.AcceleratorError:
            raise  # the device is lost to everybody
        except Exception as error:
            if len(shares) == 1:
                share = shares[0]
                if _is_out_of_memory(error):
                    if share.computation.halve():
                        return  # the halves' gradients add up to the same
                    error = _too_large(share)
                self._fail(share.session, share.computation.command.seq, error)
                return
            for share in shares:  # whoever is to blame fails alone
                self._run_pass([share])
            return
        for share, outcome in zip(shares, outcomes, strict=True):
            share.computation.is_mixed |= len(shares) > 1
            seq = share.computation.command.seq
            self._guard(share.session, seq, partial(self._take, share, outcome))

    def _measured(self, shares: Sequence[Share]) -> AbstractContextManager[None]:
        first = shares[0]
        is_measuring = isinstance(first.computation.command, Forward)
        return self._watch.a_pass(
            first.session,
            first.part,
            tokens=first.batch.tokens,
            is_measuring=is_measuring,
            is_shared=len(shares) > 1,
        )

    def _take(self, share: Share, outcome: PartOutcome) -> None:
        losses = outcome.losses
        diverged = first_not_finite(losses)
        if diverged is not None:
            raise TrainingDiverged(
                f"the loss of line {diverged.line} is not finite: lower the learning rate"
            )
        if outcome.gradients is not None:
            share.session.model.weights.add_gradient(outcome.gradients)
        share.computation.finish_micro_batch(losses)
        if not share.computation.remaining:
            self._finish(share.session, share.computation)

    def _finish(self, session: Session, computation: Computation) -> None:
        session.computation = None
        self._complete(session, computation.result())

    def _complete(self, session: Session, result: Result) -> None:
        """Answer the command at the head of the queue."""
        with self._lock:
            if session.queue:  # empty when the session was closed meanwhile
                session.queue.popleft()
                session.answer(result)

    def _guard(self, session: Session, seq: int, run: Callable[[], None]) -> None:
        try:
            run()
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self._fail(session, seq, error)

    def _fail(self, session: Session, seq: int, error: Exception) -> None:
        if not isinstance(error, ServiceError):
            logger.error("command %d of %s raised", seq, session.request.job, exc_info=error)
        with self._lock:
            session.fail(seq, _as_service_error(error))


def _is_out_of_memory(error: Exception) -> bool:
    is_full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_full or "can't allocate memory" in str(error)


def _too_large(share: Share) -> OutOfMemory:
    """With the numbers that tell what to change."""
    rows = [len(row.tokens) for row in share.batch.rows]
    cut = "after it was halved once" if share.computation.is_halved else "and cannot be halved"
    return OutOfMemory(
        f"a micro-batch of {sum(rows)} tokens in {len(rows)} rows, the longest of {max(rows)}, did "
        f"not fit the device {cut}; {share.session.model.weights.size:,} weights are trained. "
        "Lower max_seq_length, or train fewer weights"
    )


def _as_service_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if _is_out_of_memory(error):
        return OutOfMemory("the device has no memory left for this command")
    return ServiceError(f"the engine failed with {type(error).__name__}")
