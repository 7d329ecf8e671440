"""Passes over whole rows as items of the step loop: one row a turn, between two decode steps."""

from collections import deque
from collections.abc import Sequence

import torch

from service.core.errors import EngineOverloaded, ServiceError
from service.engine.attention import PackedRows
from service.engine.layers import RowPlan, ServedAdapter, ServedRuns
from service.engine.probing.rows import Arithmetic, LogitRows, MergedRows
from service.engine.runner import PackedBatch

_MAX_WAITING = 32


class LogitQueue:
    """Not thread-safe: `add` and `fail_all` under the loop's lock, `step` in its thread."""

    def __init__(self) -> None:
        self._items: deque[LogitRows] = deque()

    @property
    def has_work(self) -> bool:
        return bool(self._items)

    def add(self, item: LogitRows) -> None:
        """Raises EngineOverloaded."""
        if len(self._items) >= _MAX_WAITING:
            raise EngineOverloaded(f"{len(self._items)} probes are waiting already")
        self._items.append(item)

    def step(self) -> None:
        """Compute a row of the item that came first."""
        item = self._items[0]
        item.computed.append(_logits(item, item.rows[len(item.computed)]))
        if len(item.computed) == len(item.rows):
            self._items.popleft()
            item.done.set_result(torch.cat(item.computed))

    def fail_all(self, error: ServiceError) -> None:
        while self._items:
            self._items.popleft().done.set_exception(error)


@torch.inference_mode()
def _logits(item: LogitRows, row: Sequence[int]) -> torch.Tensor:
    runner = item.runner
    batch = PackedBatch(
        runner.tensor(row),
        runner.tensor(range(len(row))),
        PackedRows([len(row)], runner.base.device),
        _plan(item, len(row)),
    )
    return runner.logits(runner.hidden(batch)).cpu()


def _plan(item: LogitRows, tokens: int) -> RowPlan | None:
    base = item.runner.base
    match item.arithmetic:
        case Arithmetic.BASE:
            return None
        case Arithmetic.SERVED:
            adapter = ServedAdapter.cast(
                item.weights, item.runner.linears, dtype=base.dtype, device=base.device
            )
            return ServedRuns(tokens, ((0, tokens, adapter),))
        case Arithmetic.MERGED:
            return MergedRows(tokens, item.runner.linears, item.weights)
