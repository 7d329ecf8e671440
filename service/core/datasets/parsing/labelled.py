"""Rows of classification."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.json_line import shown
from service.core.datasets.parsing.messages import check_messages
from service.core.datasets.parsing.text import checked_text
from service.core.datasets.rows import LabelledRow

_MAX_LABEL_CHARACTERS = 256


def read_labelled(line: int, fields: Mapping[str, Any]) -> LabelledRow:
    """Raises BadLine."""
    if "text" in fields and "messages" in fields:
        raise BadLine("text_and_messages", 'has both "text" and "messages"', "keep one of them")
    text = checked_text(fields["text"]) if "text" in fields else None
    messages = check_messages(fields["messages"], weights=False) if text is None else None
    label = fields.get("label")
    labels = label if isinstance(label, list) else [label]
    return LabelledRow(
        line,
        text,
        messages,
        labels=tuple(dict.fromkeys(map(_checked, labels))),
        is_multi=isinstance(label, list),
    )


def _checked(label: Any) -> str:
    if not isinstance(label, str):
        raise BadLine(
            "wrong_label",
            f"has the label {shown(label)}",
            "give a string, or a list of strings if several labels may be true at once",
        )
    if not label.strip() or len(label) > _MAX_LABEL_CHARACTERS:
        raise BadLine(
            "wrong_label",
            f"has the label {shown(label)}",
            f"use 1 to {_MAX_LABEL_CHARACTERS} characters",
        )
    return label
