"""Measures what the training loop does anyway. Used by the step loop alone."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.core.engine_protocol import OptimStep, Sample, SampleDone, Save
from service.core.estimates.laws import (
    PassSize,
    Trained,
    measure_features,
    memory_features,
    optimizer_features,
    pass_features,
    sample_features,
    save_features,
    session_features,
)
from service.core.estimates.shapes import activation_bytes, depth_of, stored_bytes, trained_bytes
from service.engine.calibration.book import CalibrationBook
from service.engine.calibration.metering import settle, trim
from service.engine.training.model import TrainedModel
from service.engine.training.pass_parts import PassPart
from service.engine.training.session import Session


@dataclass
class _Watched:
    """A session from its first command on."""

    resident: int
    is_alone: bool
    busy_seconds: float = 0.0
    steps: int = 0
    has_stored: bool = False
    largest: PassSize = field(default_factory=lambda: PassSize(0))


class TrainingWatch:
    """Sessions on embedding models are not measured: their jobs have no estimate."""

    def __init__(self, books: Mapping[str, CalibrationBook]) -> None:
        self._books = books
        self._watched: dict[Session, _Watched] = {}

    def look(self, sessions: Sequence[Session], *, open_sessions: int) -> None:
        """Once a turn: `sessions` have something to do. Takes leave of those that were closed."""
        for session in sessions:
            book = self._book(session)
            if book is not None and session not in self._watched:
                is_alone = open_sessions == 1 and not self._watched
                self._watched[session] = _Watched(book.resident, is_alone)
        if open_sessions > 1:
            for watched in self._watched.values():
                watched.is_alone = False
        for session in [s for s in self._watched if s.is_closed]:
            self._leave(session, self._watched.pop(session))
            if not open_sessions:
                trim()
                for book in self._books.values():
                    book.note_resident()

    @contextmanager
    def a_pass(
        self, session: Session, part: PassPart, *, tokens: int, is_measuring: bool, is_shared: bool
    ) -> Iterator[None]:
        """One of a session's alone, with so many computed tokens; shared ones are nobody's."""
        book = None if is_shared else self._book(session)
        if book is None:
            yield
            return
        before = session.features.computed_tokens if session.features is not None else 0
        started = time.perf_counter()
        yield
        settle(book.base.device)
        seconds = time.perf_counter() - started
        after = session.features.computed_tokens if session.features is not None else 0
        size, trained = size_of(part, tokens), trained_by(part.model, book)
        if is_measuring and session.features is None:
            book.add("measure", measure_features(size), seconds)
        else:
            features = pass_features(size, trained, fresh_tokens=after - before)
            book.add(trained.law, features, seconds)
        self._note(session, seconds, size)

    @contextmanager
    def instant(self, session: Session, command: OptimStep | Save) -> Iterator[None]:
        """An optimizer step or a snapshot."""
        book = self._book(session)
        started = time.perf_counter()
        yield
        if book is None:
            return
        settle(book.base.device)
        seconds = time.perf_counter() - started
        size = session.model.weights.size
        if isinstance(command, OptimStep):
            book.add("optimizer", optimizer_features(size), seconds)
            if session in self._watched:
                self._watched[session].steps += 1
        else:
            book.add("save", save_features(size), seconds)
            if session in self._watched:
                self._watched[session].has_stored = True
        self._note(session, seconds, PassSize(0))

    def sampled(self, session: Session, command: Sample, done: SampleDone) -> None:
        """The answers of a `sample` command are there."""
        book = self._book(session)
        if book is None or not done.answers:
            return
        lengths = [len(answer.tokens) for answer in done.answers]
        prompts = sum(len(prompt.tokens) for prompt in command.prompts) * command.n
        features = sample_features(
            steps=max(lengths), answer_tokens=sum(lengths), prompt_tokens=prompts
        )
        book.add("sample", features, done.seconds)
        self._note(session, done.seconds, PassSize(0))

    def _book(self, session: Session) -> CalibrationBook | None:
        return self._books.get(session.base.name)

    def _note(self, session: Session, seconds: float, size: PassSize) -> None:
        watched = self._watched.get(session)
        if watched is None:
            return
        watched.busy_seconds += seconds
        if (size.tokens, size.scored) > (watched.largest.tokens, watched.largest.scored):
            watched.largest = size

    def _leave(self, session: Session, watched: _Watched) -> None:
        book = self._book(session)
        is_whole = not session.has_failed and session.request.resume is None and watched.steps
        if book is None or not watched.is_alone or not is_whole:
            return
        open_seconds = session.closed_at - session.opened_at
        features = session_features(watched.steps, session.model.weights.size)
        book.add(
            "session",
            features,
            max(0.0, open_seconds - watched.busy_seconds),
            scale=max(open_seconds, 1.0),
        )
        add_memory(
            book,
            watched.resident,
            session.model,
            watched.largest,
            has_stored=watched.has_stored,
        )
        book.save()


def add_memory(
    book: CalibrationBook,
    resident: int,
    model: TrainedModel,
    largest: PassSize,
    *,
    has_stored: bool = False,
) -> None:
    """The peak since the meter was reset."""
    peak = book.meter.peak()
    if not peak or not resident:
        return
    trained = trained_by(model, book)
    features = memory_features(
        trained_bytes(trained, book.shapes),
        activation_bytes(largest, trained, book.shapes),
        stored_bytes=stored_bytes(trained, book.shapes) if has_stored else 0,
    )
    book.add("memory", features, max(0.0, float(peak - resident)), scale=float(peak))


def size_of(part: PassPart, tokens: int) -> PassSize:
    lengths = [len(row.tokens) for row in part.rows]
    scored = sum(weight > 0 for row in part.rows for weight in row.weights[1:])
    return PassSize.of(lengths, scored if part.needs.tokens else 0, tokens=tokens)


def trained_by(model: TrainedModel, book: CalibrationBook) -> Trained:
    size = model.weights.size
    if model.lora is not None:
        return Trained("lora", size)
    if model.overlay is None:
        return Trained("head", size)
    return Trained("overlay", size, depth=depth_of(model.overlay.names, len(book.shapes.layers)))
