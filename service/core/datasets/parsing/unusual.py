"""What is allowed in a line and hardly meant."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.core.datasets.findings import Finding, Severity
from service.core.datasets.parsing.json_line import shown, values_of
from service.core.datasets.parsing.messages import text_of
from service.core.datasets.parsing.preference import INPUT_KEYS, PREFERRED, REJECTED
from service.core.datasets.rows import RowKind

_TOOLS = frozenset({"tools", "functions", "parallel_tool_calls"})


def repeated_key(line: int, key: str) -> Finding:
    """Of an object that has it twice."""
    problem = f"has the key {shown(key)} twice in one object, and only the last is read"
    return _warning(line, "repeated_key", problem, "keep one of them")


def unusual(line: int, fields: Mapping[str, Any], kind: RowKind) -> Iterator[Finding]:
    """Warnings about an object that is a good row."""
    for key in _unread(fields, kind):
        yield _warning(
            line, "unknown_key", f"has the key {shown(key)}, which is not read", "remove it"
        )
    for position, message in enumerate(_messages(fields, kind), start=1):
        if message["role"] != "assistant" and not text_of(message.get("content")).strip():
            problem = f"has an empty message {position} ({message['role']})"
            yield _warning(line, "empty_message", problem, "give it text or remove it")
    for position in _answering_nothing(_messages(fields, kind)):
        problem = (
            f"has a tool's answer as message {position}, and no call before it that it answers"
        )
        mend = "give it the tool_call_id of an earlier call, or remove it"
        yield _warning(line, "answers_no_call", problem, mend)
    if any(isinstance(value, str) and "\0" in value for value in values_of(fields)):
        problem = "contains the character NUL"
        yield _warning(line, "nul_character", problem, "remove it where the text was exported")


def _unread(fields: Mapping[str, Any], kind: RowKind) -> Iterable[str]:
    """Keys of a row that nothing looks at."""
    keys = fields.keys()
    match kind:
        case RowKind.CONVERSATION:
            known = {"messages", *_TOOLS} if "messages" in keys else {"prompt", "completion"}
        case RowKind.PREFERENCE:
            known = {"input", _first(fields, PREFERRED), _first(fields, REJECTED)}
            yield from (f"input.{key}" for key in sorted(fields["input"].keys() - INPUT_KEYS))
        case RowKind.PROMPT:
            return  # all of it is the graders'
        case RowKind.TEXT:
            known = {"text"}
        case RowKind.LABELLED:
            known = {"text", "messages", "label"}
    yield from sorted(keys - known)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> str:
    return next(name for name in names if name in fields)


def _messages(fields: Mapping[str, Any], kind: RowKind) -> Iterable[Mapping[str, Any]]:
    """Those that were checked with the row."""
    if kind is RowKind.TEXT:
        return ()
    given = fields["input"] if kind is RowKind.PREFERENCE else fields
    messages: Iterable[Mapping[str, Any]] = given.get("messages", ())
    return messages


def _answering_nothing(messages: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """Positions of messages by tools that answer no earlier call: by its id, or where either has
    none, by their number."""
    ids: list[object] = []
    waiting = 0
    for position, message in enumerate(messages, start=1):
        if message["role"] == "assistant":
            calls = message.get("tool_calls") or []
            ids += [call["id"] for call in calls if call.get("id") is not None]
            waiting += len(calls) or bool(message.get("function_call"))
        elif message["role"] in ("tool", "function"):
            answered = message.get("tool_call_id")
            if not (answered in ids if ids and answered is not None else waiting > 0):
                yield position
            waiting -= 1


def _warning(line: int, code: str, problem: str, mend: str) -> Finding:
    return Finding(line, code, Severity.WARNING, problem, mend)
