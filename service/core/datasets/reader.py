"""Reading a whole data set: rows as they come, complaints gathered."""

from collections.abc import Iterable, Iterator

from service.core.datasets.checks import BadLine, parse_line
from service.core.datasets.lines import LineTooLong, numbered_lines
from service.core.datasets.rows import Row
from service.core.errors import InvalidTrainingFile, InvalidValidationFile

_MAX_COMPLAINTS = 5


class Complaints:
    """What is wrong with a file, by line; one message for the first few."""

    def __init__(self, param: str) -> None:
        self._param = param
        self._found: list[str] = []

    def add(self, line: int, problem: str) -> None:
        """Note a problem. Raises InvalidTrainingFile once there are enough to report."""
        self._found.append(f"line {line} {problem}")
        if len(self._found) == _MAX_COMPLAINTS:
            raise self.error(more=True)

    def raise_if_any(self) -> None:
        """Raises InvalidTrainingFile."""
        if self._found:
            raise self.error(more=False)

    def error(self, *, more: bool) -> InvalidTrainingFile:
        text = ". ".join(found[0].upper() + found[1:] for found in self._found)
        tail = " (There may be more.)" if more else ""
        return invalid_file(f"{text}.{tail}", param=self._param)


def invalid_file(message: str, *, param: str) -> InvalidTrainingFile:
    """The error for the file that the job names as `param`."""
    kind = InvalidValidationFile if param == "validation_file" else InvalidTrainingFile
    return kind(message, param=param)


def read_rows(
    chunks: Iterable[bytes], *, param: str, complaints: Complaints | None = None
) -> Iterator[Row]:
    """Every good row; a file with bad lines ends in an error that names the first few of them.

    `param` is `training_file` or `validation_file`. A caller that checks more of each row adds to
    `complaints` while it reads, so that all are told in the order of their lines. Raises
    InvalidTrainingFile.
    """
    complaints = complaints or Complaints(param)
    first: Row | None = None
    try:
        for number, line in numbered_lines(chunks):
            try:
                row = parse_line(number, line)
                first = first or row
                _check_same_format(first, row)
            except BadLine as bad:
                complaints.add(number, str(bad))
            else:
                yield row
    except LineTooLong as long:
        complaints.add(
            long.line, f"is longer than {long.limit_bytes // 1024**2} MiB; split or shorten it"
        )
    complaints.raise_if_any()


def _check_same_format(first: Row, row: Row) -> None:
    if type(row) is not type(first):
        raise BadLine(
            f"has another format than line {first.line}; use either chat messages or "
            "prompt/completion in the whole file"
        )
