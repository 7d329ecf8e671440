"""Everything that was found in a file, in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from service.core.datasets.findings import Finding, Severity
from service.core.errors import InvalidTrainingFile, InvalidValidationFile

_KEPT = 1000
"""Findings that are kept word for word; the others are only counted."""
_LONGEST_PROBLEM = 500
"""Characters; templates may put what they refuse into their reasons."""
_TOLD = 5
"""Findings in the message of an error."""
_LINES = 100
"""Line numbers that are kept of each code, whichever findings are kept word for word."""

_NUMBERS = ("rows", "usable_rows", "tokens", "trained_tokens", "longest_row")


@dataclass(frozen=True)
class CodeCount:
    """How often something was found."""

    code: str
    severity: Severity
    count: int
    lines: Sequence[int] = ()
    """The first hundred."""


@dataclass
class Report:
    """What is wrong with a file; grows while the file is read."""

    kept: list[Finding] = field(default_factory=list)
    """The first of them, in the order of reading."""
    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter)
    """By severity and code, of all of them."""
    lines: dict[tuple[Severity, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    """Where the first of each were found."""
    rows: int = 0
    """Lines with anything on them."""
    usable_rows: int = 0
    """Those that are trained on."""
    tokens: int = 0
    """Of the usable rows, after what was cut."""
    trained_tokens: int = 0
    longest_row: int = 0
    """Tokens, before anything is cut."""

    def add(self, finding: Finding) -> None:
        """Errors push kept findings of less weight out, so that a fault is always shown."""
        key = finding.severity, finding.code
        self.counts[key] += 1
        if finding.line is not None and len(self.lines[key]) < _LINES:
            self.lines[key].append(finding.line)
        if len(finding.problem) > _LONGEST_PROBLEM:
            finding = replace(finding, problem=f"{finding.problem[:_LONGEST_PROBLEM]}…")
        if len(self.kept) < _KEPT:
            self.kept.append(finding)
        elif finding.severity is Severity.ERROR and self.errors <= _KEPT:
            self._replace_milder(finding)  # beyond that only errors are kept

    def count_usable(self, *, tokens: int, trained: int) -> None:
        """One more row that is trained on."""
        self.usable_rows += 1
        self.tokens += tokens
        self.trained_tokens += trained

    def count(self, severity: Severity) -> int:
        return sum(n for (found, _), n in self.counts.items() if found is severity)

    @property
    def errors(self) -> int:
        return self.count(Severity.ERROR)

    def raise_if_errors(self, param: str) -> None:
        """Raises InvalidTrainingFile or InvalidValidationFile that names the first few lines."""
        if not self.errors:
            return
        told = [f.message for f in self.kept if f.severity is Severity.ERROR][:_TOLD]
        rest = self.errors - len(told)
        tail = f" ({rest} more faults are in the file's report.)" if rest else ""
        raise invalid_file(f"{'. '.join(told)}.{tail}", param=param)

    def _replace_milder(self, finding: Finding) -> None:
        for index in range(len(self.kept) - 1, -1, -1):
            if self.kept[index].severity is not Severity.ERROR:
                del self.kept[index]
                self.kept.append(finding)
                return

    @property
    def warnings(self) -> int:
        return self.count(Severity.WARNING)

    def by_code(self) -> list[CodeCount]:
        """How often each thing was found: errors first, then the most frequent."""
        found = (
            CodeCount(code, severity, n, tuple(self.lines.get((severity, code), ())))
            for (severity, code), n in self.counts.items()
        )
        order = list(Severity)
        return sorted(found, key=lambda c: (order.index(c.severity), -c.count, c.code))

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "counts": [asdict(count) for count in self.by_code()],
            "kept": [asdict(finding) for finding in self.kept],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Report":
        counts = [
            CodeCount(**{**count, "severity": Severity(count["severity"])})
            for count in fields["counts"]
        ]
        kept = [
            Finding(**{**finding, "severity": Severity(finding["severity"])})
            for finding in fields["kept"]
        ]
        numbers = {name: fields[name] for name in _NUMBERS}
        return cls(
            kept=kept,
            counts=Counter({(c.severity, c.code): c.count for c in counts}),
            lines={(c.severity, c.code): list(c.lines) for c in counts if c.lines},
            **numbers,
        )


def invalid_file(message: str, *, param: str) -> InvalidTrainingFile:
    """The error for the file that the job names as `param`."""
    kind = InvalidValidationFile if param == "validation_file" else InvalidTrainingFile
    return kind(message, param=param)
