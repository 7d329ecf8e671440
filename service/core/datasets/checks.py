"""Whether one line is a good example, and if not, what is wrong and how to mend it."""

import json
from collections.abc import Mapping
from typing import Any

from service.core.datasets.rows import ChatRow, CompletionRow, Row

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal"}
)


class BadLine(ValueError):
    """What is wrong with a line, and the mend, as one sentence without the line number."""


def parse_line(number: int, line: bytes) -> Row:
    """The example on a line. Raises BadLine."""
    fields = _parse_json(number, line)
    if "messages" in fields:
        return _chat_row(number, fields)
    if "prompt" in fields or "completion" in fields:
        return _completion_row(number, fields)
    raise BadLine(
        f'has neither "messages" nor "prompt" and "completion" (its keys: '
        f"{_shown(sorted(map(str, fields)))}); write "
        '{"messages": [{"role": "user", …}, {"role": "assistant", …}]}'
    )


def _parse_json(number: int, line: bytes) -> Mapping[str, Any]:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine(
            f"is not UTF-8 (byte {error.start + 1}); save the file with UTF-8 encoding"
        ) from None
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadLine("is nested too deeply; an example is a flat object") from None
    except ValueError as error:
        raise BadLine(
            f"is not valid JSON ({error}); each line must be one complete JSON object"
        ) from None
    if not isinstance(fields, dict):
        raise BadLine("is not a JSON object; each line must look like {…}")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in _all_text(fields)):
        raise BadLine("contains half of a surrogate pair; repair the text where it was exported")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _all_text(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _completion_row(number: int, fields: Mapping[str, Any]) -> CompletionRow:
    for name in ("prompt", "completion"):
        if not isinstance(fields.get(name), str):
            raise BadLine(f'needs "{name}" as a string')
    if not fields["completion"]:
        raise BadLine('has an empty "completion", so there is nothing to learn; fill or remove it')
    return CompletionRow(number, fields["prompt"], fields["completion"])


def _chat_row(number: int, fields: Mapping[str, Any]) -> ChatRow:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadLine('needs "messages" as a list with at least one message')
    for position, message in enumerate(messages, start=1):
        _check_message(position, message)
    if not any(message["role"] == "assistant" for message in messages):
        raise BadLine("has no assistant message, so there is nothing to learn; add the answer")
    if messages[-1]["role"] != "assistant":
        raise BadLine("does not end with an assistant message; add the answer or drop the tail")
    return ChatRow(number, tuple(messages), _tools(fields))


def _check_message(position: int, message: Any) -> None:
    where = f"message {position}"
    if not isinstance(message, dict):
        raise BadLine(f"{where} is not an object with role and content")
    role = message.get("role")
    if role not in _ROLES:
        raise BadLine(f"{where} has the role {_shown(role)}; use one of {', '.join(_ROLES)}")
    unknown = sorted(set(message) - _MESSAGE_KEYS)
    if unknown:
        raise BadLine(f"{where} has the unknown key {_shown(unknown[0])}; remove it")
    _check_weight(where, role, message)
    has_calls = _check_tool_calls(where, role, message)
    _check_content(where, role, message.get("content"), required=not has_calls)


def _check_weight(where: str, role: str, message: Mapping[str, Any]) -> None:
    if "weight" not in message:
        return
    if role != "assistant":
        raise BadLine(f"{where} has a weight, which only assistant messages take; remove it")
    if isinstance(message["weight"], bool) or message["weight"] not in (0, 1):
        raise BadLine(f"{where} has the weight {_shown(message['weight'])}; use 0 or 1")


def _check_tool_calls(where: str, role: str, message: Mapping[str, Any]) -> bool:
    calls = message.get("tool_calls")
    if calls is None:
        return message.get("function_call") is not None
    if role != "assistant":
        raise BadLine(f"{where} has tool_calls, which only assistant messages make; remove them")
    if not isinstance(calls, list) or not calls:
        raise BadLine(f"{where} needs tool_calls as a list with at least one call")
    for call in calls:
        _check_tool_call(where, call)
    return True


def _check_tool_call(where: str, call: Any) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadLine(f'{where} has a tool call without "function" and its "name"')
    arguments = function.get("arguments")
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else None
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadLine(
            f"{where} calls {_shown(function['name'])} with arguments that are not a string "
            'holding a JSON object; write "arguments": "{\\"city\\": \\"Rome\\"}"'
        )


def _check_content(where: str, role: str, content: Any, *, required: bool) -> None:
    if content is None:
        if required:
            raise BadLine(f'{where} ({role}) has no "content"; give it text')
        return
    if isinstance(content, str):
        if required and role == "assistant" and not content.strip():
            raise BadLine(f"{where} is an empty assistant message; give it text or remove it")
        return
    if not isinstance(content, list) or not content:
        raise BadLine(f'{where} needs "content" as a string or a list of text parts')
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else part
            raise BadLine(f"{where} has a content part {_shown(kind)}; only text is trained on")
        if not isinstance(part.get("text"), str):
            raise BadLine(f'{where} has a text part without "text"')


def _tools(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    tools = fields.get("tools")
    if tools is None:
        return None
    if not isinstance(tools, list) or not all(
        isinstance(tool, dict) and isinstance(tool.get("function"), dict) for tool in tools
    ):
        raise BadLine('needs "tools" as a list of {"type": "function", "function": {…}}')
    return tuple(tools) or None


def _shown(value: object) -> str:
    """A value in a message, short enough to read."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
