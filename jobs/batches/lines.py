"""Lines of a batch file, checked before anything is run."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.core.datasets import numbered_lines
from service.core.datasets.lines import LineTooLong
from service.core.domain.batches import BatchProblem

MAX_REQUESTS = 50_000
_MAX_PROBLEMS = 100


@dataclass(frozen=True)
class BatchLine:
    """One request."""

    custom_id: str
    body: Mapping[str, Any]


class BadLine(ValueError):
    """What is wrong with a line: code, message, the member that it is about."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


def read_lines(chunks: Iterable[bytes], endpoint: str) -> Iterator[BatchLine]:
    """Of a file that has passed `find_problems`."""
    for _, line in numbered_lines(chunks):
        yield _parse(line, endpoint)


def find_problems(chunks: Iterable[bytes], endpoint: str) -> tuple[int, list[BatchProblem]]:
    """How many requests there are, and the first things that are wrong with them."""
    problems: list[BatchProblem] = []
    seen: set[str] = set()
    count = 0
    try:
        for number, line in numbered_lines(chunks):
            count += 1
            try:
                _check_new(_parse(line, endpoint).custom_id, seen)
                _check_count(count)
            except BadLine as bad:
                problems.append(BatchProblem(bad.code, str(bad), bad.param, number))
                if len(problems) == _MAX_PROBLEMS or bad.code == "too_many_requests":
                    break
    except LineTooLong as long:
        problems.append(BatchProblem("line_too_long", str(long), line=long.line))
    if not count and not problems:
        problems.append(BatchProblem("empty_file", "The input file holds no request."))
    return count, problems


def _check_new(custom_id: str, seen: set[str]) -> None:
    if custom_id in seen:
        raise BadLine(
            "duplicate_custom_id", f"The custom_id {custom_id!r} was used before.", "custom_id"
        )
    seen.add(custom_id)


def _check_count(count: int) -> None:
    if count > MAX_REQUESTS:
        raise BadLine(
            "too_many_requests", f"A batch has at most {MAX_REQUESTS} requests; split the file."
        )


def _parse(line: bytes, endpoint: str) -> BatchLine:
    """Raises BadLine."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("invalid_json_line", "This line is not a valid JSON object.") from None
    if not isinstance(fields, dict):
        raise BadLine("invalid_json_line", "This line is not a JSON object.")
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        raise BadLine("missing_required_parameter", "custom_id must be a string.", "custom_id")
    if fields.get("method") != "POST":
        raise BadLine("invalid_method", "method must be POST.", "method")
    if fields.get("url") != endpoint:
        raise BadLine("invalid_url", f"url must be the batch's endpoint, {endpoint}.", "url")
    if not isinstance(fields.get("body"), dict):
        raise BadLine("missing_required_parameter", "body must be an object.", "body")
    return BatchLine(custom_id, fields["body"])
