"""Requests for a head's numbers as items of the step loop.

As with embeddings the loop takes some rows a turn, between two decode steps. Rows of different
requests, and of different models over one base, share a pass.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from service.core.engine_protocol import Classified, ClassifyRequest, DeltaRef
from service.core.errors import (
    AdapterCorrupt,
    ContextLengthExceeded,
    EngineOverloaded,
    InvalidRequest,
    ModelNotFound,
    ServiceError,
)
from service.engine.classification.readers import RowReader
from service.engine.classification.served_head import ServedHead
from service.engine.generation.resident_adapters import ServedModel
from service.engine.parts import AdapterSource, DeltaWeights

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Item:
    request: ClassifyRequest
    done: Future[Classified]
    reader: RowReader
    loading: Future[DeltaWeights]
    left: list[int]
    """Rows that are still to be computed."""
    model: ServedModel | None = None
    head: ServedHead | None = None
    scores: dict[int, tuple[float, ...]] = field(default_factory=dict)


class ClassificationQueue:
    """Used by the step loop alone."""

    def __init__(
        self,
        readers: Mapping[str, RowReader],
        source: AdapterSource,
        *,
        turn_tokens: int,
        wake: Callable[[], None],
    ) -> None:
        """`readers`, by base or embedding model. `wake` is called from other threads when a head
        has arrived."""
        self._readers = readers
        self._source = source
        self._turn_tokens = turn_tokens
        self._wake = wake
        self._items: list[_Item] = []

    @property
    def waiting(self) -> int:
        return len(self._items)

    @property
    def has_work(self) -> bool:
        """Whether a step would compute something or bring something to its end."""
        return any(item.loading.done() for item in self._items)

    def add(self, request: ClassifyRequest, done: Future[Classified]) -> None:
        """Put a request into the line, or end it with its error."""
        delta = request.model.delta
        try:
            reader = self._readers.get(request.model.base)
            if reader is None:
                raise ModelNotFound(f"this engine does not hold {request.model.base!r}")
            if delta is None:
                raise InvalidRequest(f"{request.model.base!r} has no head.", param="model")
            _check_rows(reader, request.rows)
        except ServiceError as error:
            done.set_exception(error)
            return
        self._source.pin(delta)
        loading = self._load(delta)
        self._items.append(_Item(request, done, reader, loading, list(range(len(request.rows)))))
        loading.add_done_callback(lambda _: self._wake())

    def _load(self, delta: DeltaRef) -> Future[DeltaWeights]:
        try:
            return self._source.load(delta)
        except ServiceError as error:
            failed: Future[DeltaWeights] = Future()
            failed.set_exception(error)
            return failed

    @torch.inference_mode()
    def step(self) -> None:
        """One pass: the rows that came first, and others over the same weights beside them."""
        ready = [item for item in tuple(self._items) if item.loading.done() and self._equip(item)]
        if not ready:
            return
        first = ready[0]
        shared = [item for item in ready if _runner(item) is _runner(first)]
        batch = self._take(shared)
        try:
            self._compute(first.reader, batch)
        except torch.AcceleratorError:
            raise  # the device is lost to everybody
        except Exception as error:
            logger.exception("rows could not be classified")
            self._fail_all({item for item, _ in batch}, _as_service_error(error))
        for item in {item: None for item, _ in batch}:
            if not item.left and item in self._items:
                self._finish(item)

    def fail_all(self, error: ServiceError) -> None:
        self._fail_all(tuple(self._items), error)

    def _equip(self, item: _Item) -> bool:
        """Whether the item can go on; one with a broken model, or one without a head, has ended."""
        delta = item.request.model.delta
        assert delta is not None
        try:
            if item.head is None:
                loaded = _loaded(item)
                if loaded.head is None:
                    raise InvalidRequest(
                        f"model {loaded.id} has no head: it was not trained to classify.",
                        param="model",
                    )
                item.head = ServedHead(loaded.head, item.reader.size, item.reader.device)
                item.model = item.reader.equip(delta, item.loading)
        except ServiceError as error:
            self._fail(item, error)
            return False
        return True

    def _take(self, items: Sequence[_Item]) -> list[tuple[_Item, int]]:
        """Rows up to the turn's tokens; one that is longer goes alone."""
        taken: list[tuple[_Item, int]] = []
        room = self._turn_tokens
        for item in items:
            while item.left:
                length = len(item.request.rows[item.left[0]])
                if taken and length > room:
                    return taken
                taken.append((item, item.left.pop(0)))
                room -= length
        return taken

    def _compute(self, reader: RowReader, batch: Sequence[tuple[_Item, int]]) -> None:
        rows = [item.request.rows[index] for item, index in batch]
        poolings = [item.head.spec.pooling for item, _ in batch if item.head]
        models = [item.model for item, _ in batch]
        features = reader.features(rows, models, poolings)
        for (item, index), feature in zip(batch, features, strict=True):
            assert item.head is not None
            item.scores[index] = item.head.score(feature)

    def _finish(self, item: _Item) -> None:
        assert item.head is not None
        scores = tuple(item.scores[index] for index in range(len(item.request.rows)))
        try:
            answer = item.head.answer(scores)
        except AdapterCorrupt as error:
            self._fail(item, error)
            return
        self._leave(item)
        item.done.set_result(answer)

    def _fail_all(self, items: Iterable[_Item], error: ServiceError) -> None:
        for item in items:
            self._fail(item, error)

    def _fail(self, item: _Item, error: ServiceError) -> None:
        self._leave(item)
        item.done.set_exception(error)

    def _leave(self, item: _Item) -> None:
        self._items.remove(item)
        assert item.request.model.delta is not None
        self._source.unpin(item.request.model.delta)


def _loaded(item: _Item) -> DeltaWeights:
    try:
        return item.loading.result()
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(f"the model could not be loaded ({type(error).__name__})") from error


def _as_service_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return EngineOverloaded("the rows did not fit the device; send fewer or shorter ones")
    return ServiceError(f"the engine failed with {type(error).__name__}")


def _runner(item: _Item) -> object:
    """Rows that may share a pass have the same."""
    return item.reader if item.model is None else item.model.runner


def _check_rows(reader: RowReader, rows: Sequence[Sequence[int]]) -> None:
    """A row that the model cannot take would end the step loop, not a request."""
    for row in rows:
        if not row:
            raise InvalidRequest("a row has no tokens", param="input")
        if len(row) > reader.context_length:
            raise ContextLengthExceeded(
                f"a row has {len(row)} tokens, and the model takes {reader.context_length}",
                param="input",
            )
        if min(row) < 0 or max(row) >= reader.vocabulary:
            raise InvalidRequest("a row has a token that the model does not know", param="input")
