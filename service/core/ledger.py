"""The ledger of rows: what each line of the training file lost in each epoch.

Kept as one compressed object a job, since a row of SQL a line and epoch would outweigh all else.
"""

import gzip
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_FORMAT = 1
_UNLEARNT = 0.9
"""Of its first loss: what a row still loses in the end that never was learned."""
_OUTLIER = 3.5
"""Modified z-score above which a row does not belong to the others (Iglewicz & Hoaglin 1993)."""


@dataclass(frozen=True)
class LedgerLine:
    """One line of the training file."""

    line: int
    losses: tuple[float | None, ...]
    """Mean loss by epoch; None where the line was not seen."""

    @property
    def seen(self) -> Sequence[float]:
        return [loss for loss in self.losses if loss is not None]

    @property
    def last(self) -> float:
        return self.seen[-1] if self.seen else 0.0


@dataclass
class Ledger:
    """Sums by line and epoch; a step that is computed again counts once, for its epoch only grows
    while it lasts."""

    sums: dict[int, dict[int, tuple[float, float]]] = field(default_factory=dict)
    """line → epoch (1-based) → (Σ loss, Σ weight)."""

    def add(self, epoch: int, shares: Iterable[tuple[int, float, float]]) -> None:
        """(line, loss, weight) of the rows of a step."""
        for line, loss, weight in shares:
            if line >= 1 and weight and math.isfinite(loss):
                epochs = self.sums.setdefault(line, {})
                before = epochs.get(epoch, (0.0, 0.0))
                epochs[epoch] = (before[0] + loss, before[1] + weight)

    def lines(self) -> list[LedgerLine]:
        """In the order of the file."""
        last = max((epoch for epochs in self.sums.values() for epoch in epochs), default=0)
        return [
            LedgerLine(line, tuple(_mean(epochs.get(e)) for e in range(1, last + 1)))
            for line, epochs in sorted(self.sums.items())
        ]

    def to_bytes(self) -> bytes:
        lines = {
            str(line): {str(epoch): list(sums) for epoch, sums in epochs.items()}
            for line, epochs in self.sums.items()
        }
        content = json.dumps({"format": _FORMAT, "lines": lines}, separators=(",", ":"))
        return gzip.compress(content.encode(), mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Ledger":
        """What `to_bytes` wrote."""
        lines: Mapping[str, Mapping[str, Sequence[float]]]
        lines = json.loads(gzip.decompress(content))["lines"]
        return cls(
            {
                int(line): {int(epoch): (sums[0], sums[1]) for epoch, sums in epochs.items()}
                for line, epochs in lines.items()
            }
        )


def hardest(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """The highest loss at the end first."""
    return sorted(lines, key=lambda line: -line.last)


def never_learnt(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """Seen at least twice, and at the end at nine tenths of the first loss or above it."""
    found = [line for line in lines if len(line.seen) > 1 and line.last >= _UNLEARNT * line.seen[0]]
    return hardest(found)


def suspicious(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """Losses at the end that are far above all others': wrong labels, other languages, broken
    text. By the median's distance, on a logarithmic scale."""
    if len(lines) < 3:
        return []
    logarithms = [math.log(max(line.last, 1e-6)) for line in lines]
    middle = statistics.median(logarithms)
    spread = statistics.median(abs(x - middle) for x in logarithms)
    if not spread:
        return []
    return hardest(
        [
            line
            for line, x in zip(lines, logarithms, strict=True)
            if 0.6745 * (x - middle) / spread > _OUTLIER
        ]
    )


def _mean(sums: tuple[float, float] | None) -> float | None:
    return None if sums is None else sums[0] / sums[1]
