"""Wire shapes of reports on files."""

from typing import Literal

from service.api.wire import Answer
from service.core.datasets import Finding, Report, RowKind
from service.core.domain.operations import Operation
from service.core.hyperparameters import OverLength


class FindingObject(Answer):
    """Something to know about a line, or with `line` null about the whole file."""

    line: int | None
    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    """What is wrong, as a sentence that names the line."""
    fix: str | None
    """What to do."""

    @classmethod
    def from_domain(cls, finding: Finding) -> "FindingObject":
        return cls(
            line=finding.line,
            code=finding.code,
            severity=finding.severity.value,
            message=f"{finding.message}.",
            fix=finding.mend or None,
        )


class FindingCount(Answer):
    """How often something was found."""

    code: str
    severity: Literal["error", "warning", "info"]
    count: int
    lines: list[int]
    """Where; the first hundred of them."""


class ReportResult(Answer):
    """What a file holds for a model and a way to train."""

    model: str
    """The base whose tokens are counted."""
    methods: list[str]
    """Values of `method.type` that train on such rows."""
    max_seq_length: int
    """Tokens of the longest row that was taken as it is."""
    over_length: OverLength
    rows: int
    """Lines with anything on them."""
    usable_rows: int
    tokens: int
    trained_tokens: int
    longest_row_tokens: int
    errors: int
    warnings: int
    counts: list[FindingCount]
    findings: list[FindingObject]
    """A page of the first thousand, in the order of the lines."""
    has_more: bool


class ReportError(Answer):
    """Why there is no report."""

    code: str
    message: str
    param: str | None


class FileReport(Answer):
    """An examination of a file."""

    id: str
    object: Literal["file.report"] = "file.report"
    file_id: str
    status: str
    created_at: int
    finished_at: int | None
    result: ReportResult | None
    """Null until `status` is succeeded."""
    error: ReportError | None

    @classmethod
    def from_domain(cls, operation: Operation, *, after: int, limit: int) -> "FileReport":
        error, finished = operation.error, operation.finished_at
        return cls(
            id=operation.id,
            file_id=operation.subject,
            status=operation.status,
            created_at=int(operation.created_at),
            finished_at=None if finished is None else int(finished),
            result=_result(operation, after, limit),
            error=error and ReportError(code=error.code, message=error.message, param=error.param),
        )


def _result(operation: Operation, after: int, limit: int) -> ReportResult | None:
    if operation.result is None:
        return None
    report = Report.from_json(operation.result["report"])
    page = report.kept[after : after + limit]
    return ReportResult(
        model=operation.result["base"],
        methods=list(RowKind(operation.result["kind"]).methods),
        max_seq_length=operation.result["limit"]["tokens"],
        over_length=operation.result["limit"]["over_length"],
        rows=report.rows,
        usable_rows=report.usable_rows,
        tokens=report.tokens,
        trained_tokens=report.trained_tokens,
        longest_row_tokens=report.longest_row,
        errors=report.errors,
        warnings=report.warnings,
        counts=[
            FindingCount(code=c.code, severity=c.severity.value, count=c.count, lines=list(c.lines))
            for c in report.by_code()
        ],
        findings=[FindingObject.from_domain(finding) for finding in page],
        has_more=after + limit < len(report.kept),
    )
