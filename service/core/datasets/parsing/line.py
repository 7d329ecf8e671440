"""From a line's object to a row of one kind."""

from collections.abc import Callable, Mapping, Set
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.conversation import read_conversation
from service.core.datasets.parsing.json_line import shown
from service.core.datasets.parsing.labelled import read_labelled
from service.core.datasets.parsing.preference import OUTPUT_KEYS, read_preference
from service.core.datasets.parsing.prompt import read_prompt
from service.core.datasets.parsing.text import read_text
from service.core.datasets.rows import Row, RowKind

_READERS: Mapping[RowKind, Callable[[int, Mapping[str, Any]], Row]] = {
    RowKind.CONVERSATION: read_conversation,
    RowKind.PREFERENCE: read_preference,
    RowKind.PROMPT: read_prompt,
    RowKind.TEXT: read_text,
    RowKind.LABELLED: read_labelled,
}
_MARKS: Mapping[RowKind, Callable[[Set[str]], bool]] = {
    RowKind.PREFERENCE: lambda keys: "input" in keys or bool(OUTPUT_KEYS & keys),
    RowKind.LABELLED: lambda keys: "label" in keys and bool({"text", "messages"} & keys),
    RowKind.PROMPT: lambda keys: "messages" in keys,
    RowKind.CONVERSATION: lambda keys: bool({"messages", "prompt", "completion"} & keys),
    RowKind.TEXT: lambda keys: "text" in keys,
}
"""By which keys a row of a kind is known, the most telling first."""
_EXAMPLES: Mapping[RowKind, str] = {
    RowKind.CONVERSATION: '{"messages": [{"role": "user", …}, {"role": "assistant", …}]} or '
    '{"prompt": …, "completion": …}',
    RowKind.PREFERENCE: '{"input": {"messages": […]}, "preferred_output": [{"role": "assistant", '
    '…}], "non_preferred_output": [{"role": "assistant", …}]}',
    RowKind.PROMPT: '{"messages": […, {"role": "user", …}], …}',
    RowKind.TEXT: '{"text": "…"}',
    RowKind.LABELLED: '{"text": "…", "label": "…"}',
}
_NEEDED: Mapping[RowKind, str] = {
    RowKind.CONVERSATION: 'neither "messages" nor "prompt" and "completion"',
    RowKind.PREFERENCE: 'no "input" with "preferred_output" and "non_preferred_output"',
    RowKind.PROMPT: 'no "messages"',
    RowKind.TEXT: 'no "text"',
    RowKind.LABELLED: 'no "text" or "messages" with a "label"',
}


def parse_fields(number: int, fields: Mapping[str, Any], kind: RowKind) -> Row:
    """The example that an object is. Raises BadLine."""
    if _MARKS[kind](fields.keys()):
        return _READERS[kind](number, fields)
    other = likeliest_kind(fields)
    if other is not None:
        raise _other_method(kind, other)
    raise BadLine(
        "unknown_format",
        f"has {_NEEDED[kind]} (its keys: {shown(sorted(map(str, fields)))})",
        f"write {_EXAMPLES[kind]}",
    )


def _other_method(kind: RowKind, other: RowKind) -> BadLine:
    return BadLine(
        "other_method",
        f"has {_NEEDED[kind]}: it is a row for the method {' or '.join(other.methods)}",
        f"choose that method.type, or write {_EXAMPLES[kind]}",
    )


def likeliest_kind(fields: Mapping[str, Any]) -> RowKind | None:
    """What an object may be a row of."""
    for kind, has_marks in _MARKS.items():
        if has_marks(fields.keys()) and (kind is not RowKind.PROMPT or _ends_open(fields)):
            return kind
    return None


def _ends_open(fields: Mapping[str, Any]) -> bool:
    """Whether the messages end with the user's, as only a prompt does."""
    messages = fields["messages"]
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "user"
