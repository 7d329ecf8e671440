"""How families of models write calls of tools, known by what their chat templates write."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ToolFormat:
    """Calls are JSON objects with a name and arguments, between marks."""

    name: str
    opening: str
    """Begins calls anywhere in an answer; empty where a call is the whole answer."""
    closing: str = ""
    arguments_name: Literal["arguments", "parameters"] = "arguments"
    is_list: bool = False
    """Calls stand in one JSON array."""
    padding: str = ""
    """White space between the marks and the JSON."""
    call_id_length: int | None = None
    """Templates of the family refuse calls whose ids have another length."""


HERMES = ToolFormat("hermes", "<tool_call>", "</tool_call>", padding="\n")
"""Qwen and the Hermes models: one object between each pair of marks."""
SMOLLM = ToolFormat("smollm", "<tool_call>", "</tool_call>", is_list=True)
MISTRAL = ToolFormat("mistral", "[TOOL_CALLS]", is_list=True, padding=" ", call_id_length=9)
LLAMA = ToolFormat("llama-3", "", arguments_name="parameters")


def tool_format_of(template: str) -> ToolFormat | None:
    """By the marks in a template's source; None for a family that is not known here."""
    if "[TOOL_CALLS]" in template:
        return MISTRAL
    if re.search(r"<tool_call>\s*\[", template):
        return SMOLLM
    if "<tool_call>" in template:
        return HERMES
    if '"parameters": ' in template and "ipython" in template:
        return LLAMA
    return None
