"""Rows of supervised fine-tuning."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.messages import check_messages
from service.core.datasets.parsing.tools import read_tools
from service.core.datasets.rows import ChatRow, CompletionRow


def read_conversation(line: int, fields: Mapping[str, Any]) -> ChatRow | CompletionRow:
    """Raises BadLine."""
    return _chat(line, fields) if "messages" in fields else _completion(line, fields)


def _chat(line: int, fields: Mapping[str, Any]) -> ChatRow:
    messages = check_messages(fields["messages"], weights=True)
    if not any(message["role"] == "assistant" for message in messages):
        raise BadLine(
            "no_assistant_message",
            "has no assistant message, so there is nothing to learn",
            "add the answer, or use the method that such rows are for: classification if they have "
            'a "label", reinforcement if a grader judges the model\'s answers',
        )
    if messages[-1]["role"] != "assistant":
        raise BadLine(
            "wrong_last_message",
            "does not end with an assistant message",
            "add the answer or drop the tail",
        )
    return ChatRow(line, messages, read_tools(fields))


def _completion(line: int, fields: Mapping[str, Any]) -> CompletionRow:
    for name in ("prompt", "completion"):
        if not isinstance(fields.get(name), str):
            raise BadLine("missing_text", f'needs "{name}" as a string')
    if not fields["completion"]:
        raise BadLine(
            "empty_completion",
            'has an empty "completion", so there is nothing to learn',
            "fill or remove it",
        )
    return CompletionRow(line, fields["prompt"], fields["completion"])
