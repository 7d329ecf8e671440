"""Rows as pairs: which chosen one belongs to which rejected one, and what a pair reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import PairExtras, TrainingRow
from service.core.errors import InvalidRequest
from service.engine.training.losses.measured import Measured, Shares


@dataclass(frozen=True)
class Pairs:
    """Pair i is (rows[chosen[i]], rows[rejected[i]])."""

    rows: int
    chosen: torch.Tensor
    rejected: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[TrainingRow], device: torch.device) -> "Pairs":
        """By group, in the order of the chosen rows. The rows have been checked."""
        rejected_of = {row.group: at for at, row in enumerate(rows) if not is_chosen(row)}
        chosen = [at for at, row in enumerate(rows) if is_chosen(row)]
        rejected = [rejected_of[rows[at].group] for at in chosen]
        return cls(
            len(rows),
            torch.tensor(chosen, dtype=torch.long, device=device),
            torch.tensor(rejected, dtype=torch.long, device=device),
        )

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(pairs) of the chosen and (pairs) of the rejected rows."""
        return x[self.chosen], x[self.rejected]

    def shares(
        self, loss: torch.Tensor, margin: torch.Tensor, metrics: Mapping[str, torch.Tensor]
    ) -> Shares:
        """A pair is its chosen row's: loss, a weight of 1, whether its margin is above zero."""
        return Shares(
            loss=self._place(loss, 0),
            weight=self._place(torch.ones_like(margin), 0),
            correct=self._place((margin > 0).float(), 0),
            metrics={name: self._place(x, float("nan")) for name, x in metrics.items()},
        )

    def _place(self, x: torch.Tensor, rest: float) -> torch.Tensor:
        return x.new_full((self.rows,), rest).index_copy(0, self.chosen, x)


def is_chosen(row: TrainingRow) -> bool:
    return isinstance(row.extras, PairExtras) and row.extras.is_chosen


def reference_sums(rows: Sequence[TrainingRow], device: torch.device) -> torch.Tensor:
    """(rows): what the reference makes of each. The rows have been checked."""
    sums = [row.extras.reference if isinstance(row.extras, PairExtras) else None for row in rows]
    return torch.tensor([x or 0.0 for x in sums], dtype=Measured.precise(device), device=device)


def check_pairs(rows: Sequence[TrainingRow], *, needs_reference: bool) -> None:
    """Raises InvalidRequest unless every group is one chosen and one rejected row."""
    sides: dict[int, list[bool]] = {}
    for row in rows:
        if not isinstance(row.extras, PairExtras):
            raise InvalidRequest(f"line {row.line}: this loss needs extras of kind 'pair'")
        if needs_reference and row.extras.reference is None:
            raise InvalidRequest(f"line {row.line}: this loss needs the row's 'reference'")
        sides.setdefault(row.group, []).append(row.extras.is_chosen)
    for row in rows:
        if sorted(sides[row.group]) != [False, True]:
            raise InvalidRequest(
                f"line {row.line}: group {row.group} is not one chosen and one rejected row"
            )
