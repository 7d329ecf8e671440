"""What OpenAI has published about its answers, as far as they are given here.

`schemas/` holds the shapes alone: members, types, values. Where it is more lenient than the
published document the document is so in its own examples: members that need not be there may be
null, a job may be `paused`, stored messages have every role, and a vector may be base64.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import Draft202012Validator

from service.api.openapi import OPENAPI_PATH
from tests.contract.recording import Answered

_FOLDER = Path(__file__).parent / "schemas"
_PUBLISHED = OPENAPI_PATH.parents[1] / "docs" / "openai_operations.json"


@cache
def _operations() -> list[tuple[str, str, re.Pattern[str]]]:
    """Name, method and path's pattern of each operation of OpenAI's that is done here."""
    paths = json.loads(OPENAPI_PATH.read_text(encoding="utf-8"))["paths"]
    published = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    return [
        (f"{method.upper()} {path.removeprefix('/v1')}", method.upper(), _pattern(path))
        for path, methods in paths.items()
        for method in methods
        if f"{method.upper()} {path}" in published
    ]


def _pattern(path: str) -> re.Pattern[str]:
    # a model's name may hold slashes; the longer templates come first in `operation_of`
    return re.compile(re.sub(r"\\{[^}]*\\}", ".+", re.escape(path)))


def all_operations() -> set[str]:
    return {name for name, _, _ in _operations()}


def operation_of(answer: Answered) -> str | None:
    path = unquote(answer.path)
    found = [
        name
        for name, method, pattern in _operations()
        if method == answer.method and pattern.fullmatch(path)
    ]
    return max(found, key=lambda name: (name.count("/"), -name.count("{")), default=None)


@cache
def _validators() -> dict[str, Draft202012Validator]:
    made = {}
    for path in sorted(_FOLDER.glob("*.json")):
        shapes = json.loads(path.read_text(encoding="utf-8"))
        for name, shape in shapes["answers"].items():
            made[name] = Draft202012Validator({**shape, "$defs": shapes["$defs"]})
    return made


def faults_of(answer: Answered) -> list[str]:
    """What an answer has that the published shape has not, or the other way round."""
    name = operation_of(answer)
    if answer.status >= 400:
        return _check("failure", json.loads(answer.body))
    if answer.media_type.startswith("text/event-stream"):
        lines = answer.body.decode().split("\n\n")
        chunks = [line.removeprefix("data: ") for line in lines if line]
        assert chunks.pop() == "[DONE]"
        return [
            fault
            for chunk in chunks
            for fault in _check(f"stream chunk of {name}", json.loads(chunk))
        ]
    if name not in _validators():  # a file's content, and what the document has not got
        return []
    return _check(name, json.loads(answer.body))


def _check(name: str, body: Any) -> list[str]:
    errors = _validators()[name].iter_errors(body)
    return [f"{name}: {'.'.join(map(str, e.instance_path))}: {e.message}" for e in errors]
