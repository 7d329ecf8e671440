"""What became of everything that was found at the source."""

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["carried", "planned", "waiting", "left", "failed"]
"""carried over; would be (dry run); not finished here yet; left behind; went wrong here."""


@dataclass(frozen=True)
class Row:
    """One thing of the source."""

    kind: Literal["file", "job", "base", "checkpoints", "webhook"]
    source: str
    """Its id or name there."""
    outcome: Outcome
    here: str = ""
    """What it is called here."""
    note: str = ""
    """Why it was left, or what is not as it was."""


@dataclass
class Report:
    """All rows, in the order in which they were decided."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind]

    @property
    def has_failures(self) -> bool:
        return any(row.outcome == "failed" for row in self.rows)
