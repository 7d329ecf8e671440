"""Measuring oneself while nobody wants anything: a pass a turn of the step loop, then looking again
whether somebody does."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping

from service.core.errors import ServiceError
from service.core.estimates.laws import (
    PassSize,
    measure_features,
    optimizer_features,
    pass_features,
)
from service.engine.calibration.book import CalibrationBook
from service.engine.calibration.metering import settle, trim
from service.engine.calibration.trials import OPTIM_STEP, Trial, trials
from service.engine.calibration.watching import add_memory, size_of, trained_by
from service.engine.training.beginning import begin
from service.engine.training.features import FeatureCache, base_features
from service.engine.training.head_passes import measure_and_differentiate_head
from service.engine.training.optimizer import AdamW
from service.engine.training.pass_parts import PassPart
from service.engine.training.passes import measure, measure_and_differentiate
from service.engine.variants import Variants

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0
_ROUNDS = 2
"""Of each pass are measured, behind one that warms up."""


class SelfCalibration:
    """Used by the step loop alone. What was interrupted begins its trial anew."""

    def __init__(
        self,
        books: Mapping[str, CalibrationBook],
        variants: Mapping[str, Variants],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._variants = variants
        self._clock = clock
        self._busy_at = clock()
        self._left = [
            (book, trial)
            for book in books.values()
            if not book.is_calibrated
            for trial in trials(len(book.shapes.layers))
        ]
        self._running: Iterator[None] | None = None

    @property
    def is_done(self) -> bool:
        return not self._left

    @property
    def is_running(self) -> bool:
        """Whether a trial holds memory."""
        return self._running is not None

    def interrupt(self) -> None:
        """Somebody wants something: give up the memory, and be quiet for a while."""
        self._running = None
        self._busy_at = self._clock()

    def step(self) -> None:
        """The next pass, if the engine has been quiet for long enough."""
        if not self._left or self._clock() - self._busy_at < _QUIET_SECONDS:
            return
        book, trial = self._left[0]
        if self._running is None:
            self._running = _run(book, trial, self._variants[book.base.name])
        try:
            next(self._running)
        except StopIteration:
            self._finish()
        except (ServiceError, RuntimeError, MemoryError) as error:
            logger.warning("%s cannot be measured with %s: %s", book.base.name, trial.tuning, error)
            self._finish()

    def _finish(self) -> None:
        book, _ = self._left.pop(0)
        self._running = None
        gc.collect()
        trim()
        if all(other is not book for other, _ in self._left):
            book.is_calibrated = True
            book.save()
            logger.info("%s has been measured on %s", book.base.name, book.base.device)


def _run(book: CalibrationBook, trial: Trial, variants: Variants) -> Iterator[None]:
    """Yields after each pass."""
    book.note_resident()
    model = begin(variants, trial.request(book.base.name), None)
    trained, optimizer = trained_by(model, book), AdamW(model.weights)
    runner = variants.get(None)
    limit = book.base.context_length
    largest = PassSize(0)
    for rows in trial.batches(runner.vocabulary, limit):
        part = PassPart(model, rows, 1.0, seed=1, step=1, loss=trial.loss)
        size = size_of(part, part.tokens)
        largest = max(largest, size, key=lambda one: (one.tokens, one.scored))
        for round_ in range(1 + _ROUNDS):
            started = time.perf_counter()
            fresh = 0
            if trial.head is not None:
                # Every other round finds its rows' features where the last one left them.
                if round_ != _ROUNDS:
                    features = FeatureCache(base_features(model.now, trial.head))
                before = features.computed_tokens
                outcome = measure_and_differentiate_head(part, features)
                fresh = features.computed_tokens - before
            else:
                (outcome,) = measure_and_differentiate(part.used.runner, [part])
            assert outcome.gradients is not None
            model.weights.add_gradient(outcome.gradients)
            settle(book.base.device)
            seconds = time.perf_counter() - started
            if round_:
                book.add(trained.law, pass_features(size, trained, fresh_tokens=fresh), seconds)
            yield
        if trial.measures:
            for _ in range(_ROUNDS):
                started = time.perf_counter()
                measure(part.used.runner, [part])
                settle(book.base.device)
                book.add("measure", measure_features(size), time.perf_counter() - started)
                yield
    for round_ in range(1 + _ROUNDS):
        started = time.perf_counter()
        optimizer.step(OPTIM_STEP)
        settle(book.base.device)
        if round_:
            features_ = optimizer_features(trained.parameters)
            book.add("optimizer", features_, time.perf_counter() - started)
        yield
    add_memory(book, book.resident, model, largest)
