"""Prompts out of rows: those of a data set without its answers, or plain ones."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Prompt:
    """A conversation that ends before an assistant's turn."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None = None

    @cached_property
    def key(self) -> str:
        """Equal prompts have equal keys; their order is as good as random."""
        written = json.dumps([self.messages, self.tools], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()

    def request(self) -> dict[str, Any]:
        """The members of a chat request that are the prompt's."""
        request: dict[str, Any] = {"messages": list(self.messages)}
        return request if self.tools is None else {**request, "tools": list(self.tools)}

    @property
    def last_text(self) -> str:
        """What a person recognises the prompt by."""
        content = self.messages[-1].get("content")
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def read_prompts(path: Path) -> list[Prompt]:
    """Of a JSONL file, each once, in their order. Raises ValueError with the line's number."""
    prompts: dict[str, Prompt] = {}
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                prompt = _prompt_of(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            prompts.setdefault(prompt.key, prompt)
    return list(prompts.values())


def _prompt_of(row: object) -> Prompt:
    if not isinstance(row, dict):
        raise ValueError("no JSON object")
    inner = row.get("input")
    asked = inner if isinstance(inner, dict) else row  # a preference row keeps its prompt inside
    messages = asked.get("messages")
    if isinstance(row.get("prompt"), str):
        messages = [{"role": "user", "content": row["prompt"]}]
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise ValueError("neither 'messages' nor a 'prompt'")
    kept = _before_last_answer(messages)
    if not kept:
        raise ValueError("no message before the answer")
    return Prompt(kept, asked.get("tools") or None)


def _before_last_answer(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    end = len(messages)
    while end and messages[end - 1].get("role") == "assistant":
        end -= 1
    return [{k: v for k, v in each.items() if k != "weight"} for each in messages[:end]]
