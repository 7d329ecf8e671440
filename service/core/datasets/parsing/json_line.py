"""Bytes of a line into a JSON object."""

import json
from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine

_BOM = b"\xef\xbb\xbf"


def parse_object(number: int, line: bytes) -> Mapping[str, Any]:
    """The object on a line, whose strings are all proper Unicode. Raises BadLine."""
    if number == 1:
        line = line.removeprefix(_BOM)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine(
            "not_utf8",
            f"is not UTF-8 (byte {error.start + 1})",
            "save the file with UTF-8 encoding",
        ) from None
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadLine(
            "nested_too_deeply", "is nested too deeply", "an example is a flat object"
        ) from None
    except ValueError as error:
        raise BadLine(
            "invalid_json",
            f"is not valid JSON ({error})",
            "each line must be one complete JSON object",
        ) from None
    if not isinstance(fields, dict):
        raise BadLine("not_an_object", "is not a JSON object", "each line must look like {…}")
    _check_surrogates(fields)
    return fields


def shown(value: object) -> str:
    """A value in a message, short enough to read."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_surrogates(fields: Mapping[str, Any]) -> None:
    try:
        json.dumps(fields, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadLine(
            "lone_surrogate",
            "contains half of a surrogate pair",
            "repair the text where it was exported",
        ) from None
