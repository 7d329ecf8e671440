"""Rows of preference methods, in OpenAI's shape."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.messages import check_message, check_messages
from service.core.datasets.parsing.tools import read_tools
from service.core.datasets.rows import Message, PreferenceRow

PREFERRED = ("preferred_output", "preferred_completion")
REJECTED = ("non_preferred_output", "non_preferred_completion")
"""Each with the name that OpenAI used before."""
OUTPUT_KEYS = frozenset(PREFERRED + REJECTED)
INPUT_KEYS = frozenset({"messages", "tools", "functions", "parallel_tool_calls"})


def read_preference(line: int, fields: Mapping[str, Any]) -> PreferenceRow:
    """Raises BadLine."""
    given = fields.get("input")
    if not isinstance(given, dict):
        raise BadLine("missing_input", 'needs "input" as an object with "messages"')
    messages = check_messages(given.get("messages"), name='"input.messages"', weights=False)
    if messages[-1]["role"] == "assistant":
        raise BadLine(
            "wrong_last_message",
            "has an input that ends with an assistant message",
            "move it into the two outputs: they are what the assistant says next",
        )
    preferred, rejected = _answer(fields, PREFERRED), _answer(fields, REJECTED)
    if preferred == rejected:
        raise BadLine(
            "same_outputs",
            "has two outputs that are the same, so there is nothing to prefer",
            "remove the line",
        )
    return PreferenceRow(line, messages, read_tools(given), preferred, rejected)


def _answer(fields: Mapping[str, Any], names: tuple[str, str]) -> Message:
    """A list of one message; the message by itself is taken too."""
    name = next((name for name in names if name in fields), names[0])
    given = fields.get(name)
    messages = [given] if isinstance(given, dict) else given
    if not isinstance(messages, list) or len(messages) != 1:
        raise BadLine("wrong_output", f'needs "{name}" as a list of one assistant message')
    message: Message = messages[0]
    check_message(f'the message of "{name}"', message, weights=False)
    if message["role"] != "assistant":
        raise BadLine(
            "wrong_role", f'has a "{name}" by the {message["role"]}', "give it the role assistant"
        )
    return message
