"""OpenAI's messages to what chat templates expect."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
Tool = Mapping[str, Any]


def prepare(messages: Sequence[Message], *, keep_developer: bool) -> list[dict[str, Any]]:
    """Copies with text content, tool arguments as objects, and no key whose value is null.

    Without `keep_developer` developer messages become system messages. Calls of the older form
    get ids, which some templates insist on.
    """
    return [
        _prepare(message, keep_developer, _call_id(messages, index))
        for index, message in enumerate(messages)
    ]


def _call_id(messages: Sequence[Message], index: int) -> str:
    """Of the call that a message of the older form makes, or answers: nine characters, as Mistral's
    templates demand."""
    made = sum(bool(message.get("function_call")) for message in messages[: index + 1])
    return f"call{made:05}"


def _prepare(message: Message, keep_developer: bool, call_id: str) -> dict[str, Any]:
    prepared = {
        key: value for key, value in message.items() if key != "weight" and value is not None
    }
    if prepared.get("role") == "developer" and not keep_developer:
        prepared["role"] = "system"
    _replace_function_call(prepared, call_id)
    content = prepared.get("content")
    if isinstance(content, list):
        prepared["content"] = "".join(str(part.get("text", "")) for part in content)
    if prepared.get("tool_calls"):
        prepared["tool_calls"] = [_with_parsed_arguments(c) for c in prepared["tool_calls"]]
    return prepared


def _replace_function_call(message: dict[str, Any], call_id: str) -> None:
    """OpenAI's older form of tool calls, which templates do not know."""
    if message.get("role") == "function":
        message["role"] = "tool"
        message["tool_call_id"] = call_id
    function = message.pop("function_call", None)
    if function:
        message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]


def _with_parsed_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """Templates write objects as JSON themselves; a string they would quote a second time."""
    function = dict(call.get("function", {}))
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            function["arguments"] = json.loads(arguments)
        except ValueError:
            function["arguments"] = arguments
    return {**call, "function": function}


_TOOL_MEMBERS = ("type", "function")
_FUNCTION_MEMBERS = ("name", "description", "parameters", "strict")


def in_order(tool: Tool) -> dict[str, Any]:
    """The tool with its members in one order and without nulls: templates write it as JSON, and a
    tool shall give the same tokens whoever wrote it, a row of a data set or a client."""
    ordered = _sorted_members(tool, _TOOL_MEMBERS)
    if isinstance(ordered.get("function"), Mapping):
        ordered["function"] = _sorted_members(ordered["function"], _FUNCTION_MEMBERS)
    return ordered


def _sorted_members(fields: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    """Those of `first` in their order, then the others as they stand."""
    names = [*(name for name in first if name in fields), *(n for n in fields if n not in first)]
    return {name: fields[name] for name in names if fields[name] is not None}
