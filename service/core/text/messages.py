"""OpenAI's messages to what chat templates expect."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
Tool = Mapping[str, Any]


def prepare(messages: Sequence[Message], *, keep_developer: bool) -> list[dict[str, Any]]:
    """Copies with text content, tool arguments as objects, and no key whose value is null.

    Without `keep_developer` developer messages become system messages.
    """
    return [_prepare(message, keep_developer) for message in messages]


def _prepare(message: Message, keep_developer: bool) -> dict[str, Any]:
    prepared = {
        key: value for key, value in message.items() if key != "weight" and value is not None
    }
    if prepared.get("role") == "developer" and not keep_developer:
        prepared["role"] = "system"
    _replace_function_call(prepared)
    content = prepared.get("content")
    if isinstance(content, list):
        prepared["content"] = "".join(str(part.get("text", "")) for part in content)
    if prepared.get("tool_calls"):
        prepared["tool_calls"] = [_with_parsed_arguments(c) for c in prepared["tool_calls"]]
    return prepared


def _replace_function_call(message: dict[str, Any]) -> None:
    """OpenAI's older form of tool calls, which templates do not know."""
    if message.get("role") == "function":
        message["role"] = "tool"
    function = message.pop("function_call", None)
    if function:
        message["tool_calls"] = [{"type": "function", "function": function}]


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
