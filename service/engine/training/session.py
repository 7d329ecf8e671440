"""One job's training session: its queue of commands, its results, its model."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from service.core.engine_protocol import (
    Command,
    CommandFailed,
    Forward,
    ForwardBackward,
    ForwardDone,
    OpenSession,
    Result,
    RowLoss,
    to_body,
)
from service.core.errors import (
    Conflict,
    ContextLengthExceeded,
    InvalidRequest,
    SequenceGap,
    ServiceError,
)
from service.engine.parts import LoadedBase
from service.engine.training.features import FeatureCache
from service.engine.training.micro_batches import MicroBatch, cut
from service.engine.training.model import TrainedModel
from service.engine.training.optimizer import AdamW


@dataclass(frozen=True)
class Reads:
    """What reads a session's rows: a base, or an embedding model in the place of one."""

    base: LoadedBase
    vocabulary: int


@dataclass
class Computation:
    """A `forward` or `forward_backward` that is under way."""

    command: Forward | ForwardBackward
    remaining: deque[MicroBatch]
    rows: list[RowLoss | None]
    started: float
    is_mixed: bool = False
    """Whether another session's rows were in one of its passes."""
    is_halved: bool = False
    """A micro-batch did not fit the device, and was cut in two."""

    @classmethod
    def begin(
        cls,
        command: Forward | ForwardBackward,
        reads: Reads,
        limit_tokens: int,
        *,
        share: bool,
    ) -> "Computation":
        """Check the rows and cut them.

        Raises InvalidRequest, naming the line, for rows that the base cannot compute.
        """
        for row in command.rows:
            if len(row.weights) != len(row.tokens) or not row.tokens:
                raise InvalidRequest(f"line {row.line}: tokens and weights differ in number")
            if len(row.tokens) > reads.base.context_length:
                raise ContextLengthExceeded(
                    f"line {row.line} has {len(row.tokens)} tokens, {reads.base.name!r} takes "
                    f"{reads.base.context_length}"
                )
            if not all(0 <= token < reads.vocabulary for token in row.tokens):
                raise InvalidRequest(f"line {row.line} holds a token that the base does not know")
        remaining = deque(cut(command.rows, limit_tokens, share=share))
        return cls(command, remaining, [None] * len(command.rows), time.monotonic())

    def finish_micro_batch(self, losses: list[RowLoss]) -> None:
        """Take the losses of the first remaining micro-batch."""
        batch = self.remaining.popleft()
        for index, loss in zip(batch.indices, losses, strict=True):
            self.rows[index] = loss

    def halve(self) -> bool:
        """Cut what remains into micro-batches of half the size, whole groups each, because the
        first did not fit. Once only; False where that has happened or the first is one group."""
        if self.is_halved or not self.remaining:
            return False
        first = self.remaining[0]
        limit = max(1, first.tokens // 2)
        halves = [half for batch in self.remaining for half in batch.cut(limit)]
        if halves[0].indices == first.indices:
            return False
        self.is_halved = True
        self.remaining = deque(halves)
        return True

    def result(self) -> ForwardDone:
        return ForwardDone(
            seq=self.command.seq,
            rows=tuple(row for row in self.rows if row is not None),
            tokens=sum(len(row.tokens) for row in self.command.rows),
            seconds=time.monotonic() - self.started,
            is_mixed=self.is_mixed,
        )


@dataclass(eq=False)
class Session:
    """The queue and the results are guarded by the engine's lock; the model, the optimizer and
    the computation belong to the step loop."""

    id: str
    request: OpenSession
    reads: Reads
    changed: threading.Condition
    """On the engine's lock; notified with every result and when the session closes."""
    next_seq: int = 1
    queue: deque[Command] = field(default_factory=deque)
    results: list[Result] = field(default_factory=list)
    has_failed: bool = False
    is_closed: bool = False
    waiters: int = 0
    """Polls that are blocked: as good as a beat."""
    last_beat: float = field(default_factory=time.monotonic)
    opened_at: float = field(default_factory=time.monotonic)
    closed_at: float = 0.0
    ready: threading.Event = field(default_factory=threading.Event)
    """Set once `model` and `optimizer` exist, or opening has failed and the session is closed."""
    model: TrainedModel = field(init=False)
    optimizer: AdamW = field(init=False)
    features: FeatureCache | None = None
    """Of rows, where a head alone is trained."""
    computation: Computation | None = None
    """Of the command at the head of the queue."""

    @property
    def base(self) -> LoadedBase:
        return self.reads.base

    def beat(self) -> None:
        self.last_beat = time.monotonic()

    def append(self, commands: tuple[Command, ...]) -> int:
        """Drop what is known, refuse a gap, queue the rest; returns the next seq."""
        self.beat()
        fresh = [command for command in commands if command.seq >= self.next_seq]
        expected = range(self.next_seq, self.next_seq + len(fresh))
        if [command.seq for command in fresh] != list(expected):
            raise SequenceGap(f"session {self.id} expects seq {self.next_seq}, not {fresh[0].seq}")
        if fresh and self.has_failed:
            raise Conflict(f"session {self.id} has failed")
        self.queue.extend(fresh)
        self.next_seq += len(fresh)
        return self.next_seq

    def answer(self, result: Result) -> None:
        self.results.append(result)
        self.changed.notify_all()

    def fail(self, seq: int, error: ServiceError) -> None:
        """End the session with this command's error."""
        self.has_failed = True
        self.queue.clear()
        self.answer(CommandFailed(seq=seq, error=to_body(error)))

    def close(self) -> None:
        """Wake whoever waits; the memory goes with the last reference."""
        self.is_closed = True
        self.closed_at = time.monotonic()
        self.queue.clear()
        self.ready.set()
        self.changed.notify_all()
