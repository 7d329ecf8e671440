"""Whether messages are a conversation that templates can write."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.json_line import shown
from service.core.datasets.parsing.tools import check_tool_calls
from service.core.datasets.rows import Message

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_KEYS = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal"}
)


def check_messages(
    messages: Any, *, name: str = '"messages"', weights: bool
) -> tuple[Message, ...]:
    """A list of messages, as `name` gives it; `weights`: whether the assistant's may have one.

    Raises BadLine.
    """
    if not isinstance(messages, list) or not messages:
        raise BadLine("missing_messages", f"needs {name} as a list with at least one message")
    for position, message in enumerate(messages, start=1):
        check_message(f"message {position}", message, weights=weights)
    return tuple(messages)


def check_message(where: str, message: Any, *, weights: bool) -> None:
    """Raises BadLine."""
    if not isinstance(message, dict):
        raise BadLine("wrong_message", f"{where} is not an object with role and content")
    role = message.get("role")
    if role not in ROLES:
        raise BadLine(
            "wrong_role", f"{where} has the role {shown(role)}", f"use one of {', '.join(ROLES)}"
        )
    unknown = sorted(set(message) - _KEYS)
    if unknown:
        raise BadLine(
            "unknown_key", f"{where} has the unknown key {shown(unknown[0])}", "remove it"
        )
    _check_weight(where, role, message, weights=weights)
    has_calls = check_tool_calls(where, role, message)
    _check_content(where, role, message.get("content"), required=not has_calls)


def _check_weight(where: str, role: str, message: Mapping[str, Any], *, weights: bool) -> None:
    if "weight" not in message:
        return
    if not weights:
        raise BadLine(
            "wrong_weight", f"{where} has a weight, which only supervised rows take", "remove it"
        )
    if role != "assistant":
        raise BadLine(
            "wrong_weight", f"{where} has a weight, which only assistant messages take", "remove it"
        )
    if isinstance(message["weight"], bool) or message["weight"] not in (0, 1):
        raise BadLine(
            "wrong_weight", f"{where} has the weight {shown(message['weight'])}", "use 0 or 1"
        )


def _check_content(where: str, role: str, content: Any, *, required: bool) -> None:
    if content is None:
        if required:
            raise BadLine("missing_content", f'{where} ({role}) has no "content"', "give it text")
        return
    if not isinstance(content, str):
        _check_parts(where, content)
    if required and role == "assistant" and not text_of(content).strip():
        raise BadLine(
            "empty_assistant_message",
            f"{where} is an empty assistant message",
            "give it text or remove it",
        )


def text_of(content: Any) -> str:
    """A message's text, whether it is written as a string or in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def _check_parts(where: str, content: Any) -> None:
    if not isinstance(content, list) or not content:
        raise BadLine(
            "wrong_content", f'{where} needs "content" as a string or a list of text parts'
        )
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else part
            raise BadLine(
                "unsupported_content_part",
                f"{where} has a content part {shown(kind)}",
                "only text is trained on",
            )
        if not isinstance(part.get("text"), str):
            raise BadLine("wrong_content", f'{where} has a text part without "text"')
