"""What may be said of a line, by people and by programs."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for training."""

    ERROR = "error"
    """No job begins with such a file."""
    WARNING = "warning"
    """The row is trained on, or left out as the job asks; it is hardly what was meant."""
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """Something to know about a line, or with `line` None about the whole file."""

    line: int | None
    code: str
    severity: Severity
    problem: str
    """The rest of a sentence that begins with the line: `has no assistant message`. Without a line
    it is whole."""
    mend: str
    """What to do, as a clause in the imperative; may be empty."""

    @property
    def message(self) -> str:
        """The whole sentence, without a full stop."""
        subject = "" if self.line is None else f"Line {self.line} "
        tail = f"; {self.mend}" if self.mend else ""
        return f"{subject}{self.problem}{tail}"


class BadLine(ValueError):
    """A line that is no example: what is wrong with it, and the mend."""

    def __init__(self, code: str, problem: str, mend: str = "") -> None:
        super().__init__(f"{problem}; {mend}" if mend else problem)
        self.code, self.problem, self.mend = code, problem, mend

    def at(self, line: int) -> Finding:
        return Finding(line, self.code, Severity.ERROR, self.problem, self.mend)
