"""Reading a whole data set: rows as they come, findings into a report."""

from collections.abc import Iterable, Iterator

from service.core.datasets.findings import BadLine
from service.core.datasets.lines import LineTooLong, numbered_lines
from service.core.datasets.parsing import parse_fields, parse_object, repeated_key, unusual
from service.core.datasets.report import Report
from service.core.datasets.rows import LabelledRow, Row, RowKind


def read_rows(chunks: Iterable[bytes], *, kind: RowKind, report: Report) -> Iterator[Row]:
    """Every good row of a JSONL file, in order; what is wrong with the others is in `report`.

    A caller that checks more of each row adds to `report` while it reads, so that findings come in
    the order of lines. Whether errors end the job is for the caller to say, after the last row:
    `report.raise_if_errors`. Raises only what `chunks` raises.
    """
    first: Row | None = None
    try:
        for number, line in numbered_lines(chunks):
            report.rows += 1
            try:
                repeated: list[str] = []
                fields = parse_object(number, line, repeated.append)
                for key in repeated:
                    report.add(repeated_key(number, key))
                row = parse_fields(number, fields, kind)
                first = first or row
                _check_same_format(first, row)
            except BadLine as bad:
                report.add(bad.at(number))
                continue
            for finding in unusual(number, fields, kind):
                report.add(finding)
            yield row
    except LineTooLong as long:
        report.add(_too_long(long).at(long.line))


def _too_long(long: LineTooLong) -> BadLine:
    return BadLine(
        "line_too_long",
        f"is longer than {long.limit_bytes // 1024**2} MiB",
        "split or shorten it; the file is not read beyond it",
    )


def _check_same_format(first: Row, row: Row) -> None:
    """Raises BadLine."""
    if type(row) is not type(first):
        raise BadLine(
            "mixed_formats",
            f"has another format than line {first.line}",
            "use either chat messages or prompt/completion in the whole file",
        )
    if isinstance(row, LabelledRow) and isinstance(first, LabelledRow):
        _check_same_labels(first, row)


def _check_same_labels(first: LabelledRow, row: LabelledRow) -> None:
    """Raises BadLine."""
    if row.is_multi != first.is_multi:
        one, many = "one label", "a list of labels"
        this, that = (many, one) if row.is_multi else (one, many)
        raise BadLine(
            "mixed_labels",
            f"has {this}, and line {first.line} {that}",
            "write a list in every row if several labels may be true at once, else a string",
        )
    if (row.text is None) != (first.text is None):
        raise BadLine(
            "mixed_formats",
            f"has another format than line {first.line}",
            'use either "text" or "messages" in the whole file',
        )
