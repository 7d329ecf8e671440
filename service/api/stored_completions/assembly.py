"""A streamed answer put together again, from the events that the caller gets."""

import json
from dataclasses import dataclass, field
from typing import Any

_FIELD = "data: "


@dataclass
class _GrowingChoice:
    message: dict[str, Any] = field(default_factory=lambda: {"role": "assistant", "content": None})
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None

    def grow(self, choice: dict[str, Any]) -> None:
        for name, value in choice["delta"].items():
            if name == "tool_calls":
                self._grow_tool_calls(value or [])
            elif name == "function_call":
                self._grow_function_call(value)
            elif name != "role" and value is not None:
                self.message[name] = (self.message.get(name) or "") + value
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        for name, entries in (choice.get("logprobs") or {}).items():
            self.logprobs = self.logprobs or {}
            self.logprobs[name] = (self.logprobs.get(name) or []) + (entries or [])

    def _grow_tool_calls(self, pieces: list[dict[str, Any]]) -> None:
        for piece in pieces:
            call = self.tool_calls.setdefault(piece["index"], {"type": "function", "function": {}})
            call.update({k: v for k, v in piece.items() if k in ("id", "type") and v is not None})
            function = piece.get("function") or {}
            if function.get("name") is not None:
                call["function"]["name"] = function["name"]
            arguments = call["function"].get("arguments", "") + (function.get("arguments") or "")
            call["function"]["arguments"] = arguments

    def _grow_function_call(self, piece: dict[str, str]) -> None:
        call = self.message.setdefault("function_call", {"arguments": ""})
        call.update({k: v for k, v in piece.items() if k == "name"})
        call["arguments"] += piece["arguments"]

    def to_choice(self, index: int) -> dict[str, Any]:
        message = {"refusal": None, **self.message}
        if self.tool_calls:
            message["tool_calls"] = [call for _, call in sorted(self.tool_calls.items())]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason,
        }


class Assembly:
    """Takes the chunks of one answer in their order."""

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._choices: dict[int, _GrowingChoice] = {}

    def add(self, event: str) -> None:
        """An event that is not the end; one that tells a failure has nothing to take."""
        chunk = json.loads(event.removeprefix(_FIELD))
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            if name in chunk:
                self._envelope.setdefault(name, chunk[name])
        for choice in chunk.get("choices", []):
            self._choices.setdefault(choice["index"], _GrowingChoice()).grow(choice)

    def to_answer(self, usage: dict[str, Any]) -> dict[str, Any]:
        """As a `chat.completion`."""
        return {
            "object": "chat.completion",
            **self._envelope,
            "choices": [choice.to_choice(n) for n, choice in sorted(self._choices.items())],
            "usage": usage,
        }
