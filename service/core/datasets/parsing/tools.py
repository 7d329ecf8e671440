"""Tools that a row declares, and calls of them."""

import json
from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.json_line import check_values, shown
from service.core.datasets.rows import Tool

_EXAMPLE = 'write "arguments": "{\\"city\\": \\"Rome\\"}"'


def read_tools(fields: Mapping[str, Any]) -> tuple[Tool, ...] | None:
    """`tools`, or OpenAI's older `functions` as tools. Raises BadLine."""
    parallel = fields.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        raise BadLine(
            "wrong_tools",
            f'has the "parallel_tool_calls" {shown(parallel)}',
            "use true or false, or leave it out",
        )
    tools, functions = fields.get("tools"), fields.get("functions")
    if tools is not None and functions is not None:
        raise BadLine("wrong_tools", 'has both "tools" and "functions"', 'keep "tools"')
    if functions is not None:
        if not isinstance(functions, list):
            raise BadLine("wrong_tools", 'needs "functions" as a list of functions')
        tools = [{"type": "function", "function": function} for function in functions]
    return _checked(tools) if tools is not None else None


def check_tool_calls(where: str, role: str, message: Mapping[str, Any]) -> bool:
    """Whether the message calls a tool. Raises BadLine for a call that is written wrongly."""
    calls, old = message.get("tool_calls"), message.get("function_call")
    if calls is None and old is None:
        return False
    name = "tool_calls" if calls is not None else "function_call"
    if role != "assistant":
        raise BadLine(
            "wrong_tool_calls",
            f"{where} has {name}, which only assistant messages make",
            "remove them",
        )
    if calls is None:
        calls = [{"function": old}]
    if not isinstance(calls, list) or not calls:
        raise BadLine(
            "wrong_tool_calls", f"{where} needs tool_calls as a list with at least one call"
        )
    for call in calls:
        _check_call(where, call)
    return True


def _checked(tools: Any) -> tuple[Tool, ...] | None:
    if not isinstance(tools, list) or not all(_is_tool(tool) for tool in tools):
        raise BadLine(
            "wrong_tools",
            'needs "tools" as a list of {"type": "function", "function": {"name": …}}',
        )
    return tuple(tools) or None


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _check_call(where: str, call: Any) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadLine(
            "wrong_tool_calls", f'{where} has a tool call without "function" and its "name"'
        )
    arguments = function.get("arguments")
    parsed = _parsed(arguments)
    calls = f"{where} calls {shown(function['name'])} with arguments that are"
    if isinstance(parsed, str) and isinstance(_parsed(parsed), dict):
        raise BadLine(
            "arguments_encoded_twice", f"{calls} JSON within JSON", f"encode them once: {_EXAMPLE}"
        )
    if isinstance(arguments, dict):
        raise BadLine("wrong_arguments", f"{calls} an object and not a string", _EXAMPLE)
    if not isinstance(parsed, dict):
        raise BadLine("wrong_arguments", f"{calls} not a string holding a JSON object", _EXAMPLE)
    check_values(parsed)


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
