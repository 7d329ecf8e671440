"""Rows as tokens of one base: what training, reports and previews have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.datasets.rows import (
    ChatRow,
    CompletionRow,
    LabelledRow,
    Message,
    PreferenceRow,
    ReinforcementRow,
    Row,
    TextRow,
)
from service.core.text import TextCodec, TrainingTokens

EncodedRow = Mapping[str, TrainingTokens]
"""A row's sequences by name: `row`, or of a preference `preferred` and `rejected`."""

_NEVER_SHOWN = frozenset({"line", "item", "labels"})


def encode_row(row: Row, codec: TextCodec) -> EncodedRow:
    """Tokens with the weights that the row's method trains them with.

    Of a preference both answers have weight 1 behind the same messages; a prompt and what a head
    judges have no weights. Raises ChatTemplateError, TemplateNotPrefixStable.
    """
    match row:
        case ChatRow():
            return {"row": codec.training_row(row.messages, tools=row.tools)}
        case CompletionRow():
            return {"row": codec.completion_row(row.prompt, row.completion)}
        case PreferenceRow():
            return {
                "preferred": _answered(row, row.preferred, codec),
                "rejected": _answered(row, row.rejected, codec),
            }
        case ReinforcementRow():
            return {"row": _unweighted(codec.encode_chat_prompt(row.messages, tools=row.tools))}
        case TextRow():
            return {"row": codec.completion_row("", row.text)}
        case LabelledRow():
            return {"row": _unweighted(codec.encode_judged(judged(row)))}


def shown_to_model(row: Row) -> Mapping[str, Any]:
    """What of a row ends up in tokens."""
    return {name: value for name, value in vars(row).items() if name not in _NEVER_SHOWN}


def judged(row: LabelledRow) -> str | Sequence[Message]:
    """What the label is about."""
    return row.messages if row.text is None and row.messages is not None else row.text or ""


def _answered(row: PreferenceRow, answer: Message, codec: TextCodec) -> TrainingTokens:
    """Only the answer is weighed, whatever the assistant has said before it."""
    before = [{**m, "weight": 0} if m["role"] == "assistant" else m for m in row.messages]
    return codec.training_row([*before, answer], tools=row.tools)


def _unweighted(tokens: Sequence[int]) -> TrainingTokens:
    return TrainingTokens(tuple(tokens), (0.0,) * len(tokens))
