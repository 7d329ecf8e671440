"""A report counts everything and keeps what its reader needs, however much there is."""

import tracemalloc

import pytest

from service.core.datasets import ChatRow, Finding, Report, SeenRows, Severity
from service.core.errors import InvalidValidationFile


def warning(line: int) -> Finding:
    return Finding(line, "duplicate", Severity.WARNING, "is the same as line 1", "remove it")


def error(line: int) -> Finding:
    return Finding(line, "invalid_json", Severity.ERROR, "is not JSON", "repair it")


def test_everything_is_counted_and_an_error_is_never_hidden_by_warnings() -> None:
    report = Report()
    for line in range(1, 5001):
        report.add(warning(line))
    report.add(error(5001))

    assert (report.warnings, report.errors) == (5000, 1)
    assert len(report.kept) == 1000
    assert [f for f in report.kept if f.severity is Severity.ERROR] == [error(5001)]
    assert [(c.code, c.count) for c in report.by_code()] == [
        ("invalid_json", 1),
        ("duplicate", 5000),
    ]


def test_a_report_survives_its_storage() -> None:
    report = Report(rows=3, longest_row=9)
    report.add(warning(2))
    report.add(error(3))
    report.count_usable(tokens=9, trained=4)

    assert Report.from_json(report.to_json()) == report


def test_only_errors_make_a_file_invalid_and_the_first_are_named() -> None:
    report = Report()
    report.add(warning(1))
    report.raise_if_errors("validation_file")

    for line in range(2, 10):
        report.add(error(line))
    with pytest.raises(InvalidValidationFile) as caught:
        report.raise_if_errors("validation_file")

    assert "Line 2 is not JSON; repair it. Line 3 " in str(caught.value)
    assert "Line 7" not in str(caught.value)
    assert str(caught.value).endswith("(3 more faults are in the file's report.)")


def test_thirty_thousand_rows_are_remembered_in_bounded_memory() -> None:
    def row(line: int) -> ChatRow:
        return ChatRow(line, ({"role": "assistant", "content": f"{line % 29_999}"},), None)

    tracemalloc.start()
    with SeenRows() as seen:
        found = [seen.note(row(line), "training_file") for line in range(30_000)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [line for line, earlier in enumerate(found) if earlier] == [29_999]
    assert found[-1] is not None
    assert found[-1].line == 0
    assert peak < 2 * 1024**2  # the list itself is 0.2 MB; SQLite's own cache is at most 16 MiB
