"""Bytes of a line into a JSON object."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from service.core.datasets.findings import BadLine

_BOM = b"\xef\xbb\xbf"
_MAX_DEPTH = 64
"""No example nests deeper, not even in a tool's schema; code that walks rows may recurse."""
_TOO_DEEP = BadLine("nested_too_deeply", "is nested too deeply", "an example is a flat object")


def parse_object(
    number: int, line: bytes, note_repeated: Callable[[str], None] | None = None
) -> Mapping[str, Any]:
    """The object on a line: proper Unicode, finite numbers, bounded depth. Raises BadLine.

    `note_repeated` is told of each key that an object in it has twice; the last one holds, as every
    JSON reader has it.
    """
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
        fields = json.loads(
            text,
            parse_constant=_refuse_constant,
            object_pairs_hook=note_repeated and partial(_build, note_repeated),
        )
    except RecursionError:
        raise _TOO_DEEP from None
    except ValueError as error:
        raise BadLine(
            "invalid_json",
            f"is not valid JSON ({error})",
            "each line must be one complete JSON object",
        ) from None
    if not isinstance(fields, dict):
        raise BadLine(
            "not_an_object",
            "is not a JSON object",
            "each line must look like {…}; rows of a list are written one a line, without the list",
        )
    check_values(fields)
    return fields


def _build(
    note_repeated: Callable[[str], None], pairs: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        times = Counter(key for key, _ in pairs)
        note_repeated(next(key for key in built if times[key] > 1))
    return built


def check_values(value: Any) -> None:
    """Raises BadLine for what a JSON reader takes and nothing else does."""
    for inner in values_of(value):
        _check_value(inner)


def values_of(value: Any) -> Iterator[Any]:
    """Every string, number, true, false and null within, keys too. Raises BadLine for what is
    nested too deeply."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                yield from item.keys()
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            else:
                yield item
        if not below:
            return
        level = below
    raise _TOO_DEEP


def shown(value: object) -> str:
    """A value in a message, short enough to read."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_value(value: Any) -> None:
    if isinstance(value, str) and not value.isascii() and _has_surrogate(value):
        raise BadLine(
            "lone_surrogate",
            "contains half of a surrogate pair",
            "repair the text where it was exported",
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise BadLine(
            "invalid_json", "holds a number beyond what JSON readers take", "make it smaller"
        )


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
