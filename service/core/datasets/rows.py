"""What a line of a data set means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
Tool = Mapping[str, Any]


@dataclass(frozen=True)
class ChatRow:
    """A conversation; the assistant's messages are learned from."""

    line: int
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] | None


@dataclass(frozen=True)
class CompletionRow:
    """A prompt and what should follow it."""

    line: int
    prompt: str
    completion: str


Row = ChatRow | CompletionRow
