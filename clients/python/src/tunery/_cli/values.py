"""Values of `KEY=VALUE` options."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Raises BadParameter."""
    found = {}
    for pair in given:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint=option)
        found[key] = value
    return found


def values(given: Sequence[str], option: str) -> dict[str, Any]:
    """`3`, `true` and `[64, 32]` are what they are in JSON, `@FILE` is JSON out of a file, and
    anything else is a text. Raises BadParameter."""
    return {key: _value(text, option) for key, text in pairs(given, option).items()}


def json_file(path: Path, option: str) -> Any:
    """Raises BadParameter."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} is no file of JSON: {error}", param_hint=option) from None


def _value(text: str, option: str) -> Any:
    if text.startswith("@"):
        return json_file(Path(text[1:]), option)
    try:
        return json.loads(text)
    except ValueError:
        return text
