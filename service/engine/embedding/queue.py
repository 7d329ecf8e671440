"""Embedding requests as items of the step loop.

One thread owns the device: a second one computing beside it would make both wait for the same
cores, and on a GPU share its stream. So the loop takes some rows a turn, between two decode steps,
and an open stream waits for one such piece at most.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from service.core.engine_protocol import Embedded, EmbedRequest, pack_vector
from service.core.errors import EngineOverloaded, InvalidRequest, ModelNotFound, ServiceError
from service.engine.embedding.embedder import LoadedEmbedder

_TOKENS_A_TURN = 2048
"""Padding included: some 100 ms of MiniLM on two cores."""
_MAX_WAITING = 256


@dataclass
class _Item:
    request: EmbedRequest
    order: list[int]
    """Rows by length, so that little is padded; the longest are taken first, from the end."""
    done: Future[Embedded] = field(default_factory=Future)
    vectors: dict[int, str] = field(default_factory=dict)


class EmbeddingQueue:
    """Not thread-safe: `add` and `fail_all` under the loop's lock, `step` in its thread."""

    def __init__(self, embedders: Sequence[LoadedEmbedder]) -> None:
        self._embedders: Mapping[str, LoadedEmbedder] = {e.state.name: e for e in embedders}
        self._items: deque[_Item] = deque()

    @property
    def has_work(self) -> bool:
        return bool(self._items)

    def add(self, request: EmbedRequest) -> Future[Embedded]:
        """Raises ModelNotFound, EngineOverloaded, InvalidRequest for rows the model cannot take."""
        embedder = self._embedders.get(request.model)
        if embedder is None:
            raise ModelNotFound(f"this engine does not hold the embedding model {request.model!r}")
        if len(self._items) >= _MAX_WAITING:
            raise EngineOverloaded(f"{len(self._items)} embedding requests are waiting already")
        _check_rows(embedder, request)
        rows = request.rows
        item = _Item(request, sorted(range(len(rows)), key=lambda index: len(rows[index])))
        self._items.append(item)
        return item.done

    def step(self) -> None:
        """Embed some rows of the request that came first; requests take turns."""
        item = self._items.popleft()
        taken = self._take(item)
        vectors = self._embedders[item.request.model].embed([item.request.rows[i] for i in taken])
        item.vectors.update(zip(taken, map(pack_vector, vectors.tolist()), strict=True))
        if item.order:
            self._items.append(item)
            return
        ordered = tuple(item.vectors[index] for index in range(len(item.request.rows)))
        item.done.set_result(Embedded(vectors=ordered))

    def fail_all(self, error: ServiceError) -> None:
        while self._items:
            self._items.popleft().done.set_exception(error)

    def _take(self, item: _Item) -> list[int]:
        width = len(item.request.rows[item.order[-1]])
        count = max(1, _TOKENS_A_TURN // width)
        taken, item.order = item.order[-count:], item.order[:-count]
        return taken


def _check_rows(embedder: LoadedEmbedder, request: EmbedRequest) -> None:
    """A row that the model cannot take would end the step loop, not a request."""
    for row in request.rows:
        if not 0 < len(row) <= embedder.state.context_length:
            raise InvalidRequest(f"a row has {len(row)} tokens", param="input")
        if min(row) < 0 or max(row) >= embedder.vocabulary:
            raise InvalidRequest("a row has a token that the model does not know", param="input")
