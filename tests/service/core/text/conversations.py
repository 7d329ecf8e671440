"""Random conversations that a family's template takes."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from service.core.text.guard import MARK
from tests.service.core.text.families import Family

TOOLS: list[Mapping[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Says »how« it is",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]

plain_texts = st.text(
    # no halves of surrogate pairs, and none of the marks that we or transformers would take out
    st.characters(exclude_categories=["Cs", "Co"], exclude_characters=MARK),
    max_size=12,
)


def texts(family: Family) -> st.SearchStrategy[str]:
    """Any text, sometimes with white space at its ends and special-token strings inside."""
    spices = st.sampled_from([*family.special, " ", "\n", "\n\n", "<", "|>", "</think>"])
    return st.lists(plain_texts | spices, max_size=4).map("".join)


@st.composite
def conversations(draw: st.DrawFn, family: Family) -> list[dict[str, Any]]:
    """Ends with a user's message or an assistant's; with calls and their results in between."""
    words = texts(family)
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(words)})
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(words)})
        if family.calls and draw(st.booleans()):
            messages += draw(_calls_and_results(family))
        messages.append({"role": "assistant", "content": draw(words)})
    if draw(st.booleans()):
        messages.append({"role": "user", "content": draw(words)})
    return messages


@st.composite
def _calls_and_results(draw: st.DrawFn, family: Family) -> list[dict[str, Any]]:
    words = texts(family)
    calls = [
        {
            "id": f"call{n:05}",
            "type": "function",
            "function": {
                "name": "weather",
                "arguments": json.dumps(draw(st.dictionaries(plain_texts, words | st.integers()))),
            },
        }
        for n in range(draw(st.integers(1, family.calls)))
    ]
    call = {"role": "assistant", "content": draw(st.none() | words), "tool_calls": calls}
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in calls
    ]
    return [call, *results]


def as_transformers_takes_it(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With arguments as objects, as transformers asks of its callers."""
    taken: list[dict[str, Any]] = json.loads(json.dumps(messages))
    for message in taken:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return taken
