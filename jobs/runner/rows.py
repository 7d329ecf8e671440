"""Rows as the examples of their method."""

from jobs.methods.examples import Example, TokenRow
from service.core.datasets import (
    EncodedRow,
    LabelledRow,
    PreferenceRow,
    ReinforcementRow,
    Row,
)
from service.core.engine_protocol import PairExtras
from service.core.text import TrainingTokens


def example_of(row: Row, encoded: EncodedRow) -> Example:
    """With what the row's method knows beside its tokens."""
    match row:
        case PreferenceRow():
            sides = (("preferred", True), ("rejected", False))
            return Example(
                tuple(
                    _token_row(row.line, encoded[name], PairExtras(is_chosen=is_chosen))
                    for name, is_chosen in sides
                )
            )
        case LabelledRow():
            rows = (_token_row(row.line, encoded["row"]),)
            return Example(rows, labels=row.labels, is_multi_label=row.is_multi)
        case ReinforcementRow():
            rows = (_token_row(row.line, encoded["row"]),)
            return Example(rows, item=row.item, messages=row.messages, tools=row.tools)
    return Example((_token_row(row.line, encoded["row"]),))


def _token_row(line: int, tokens: TrainingTokens, extras: PairExtras | None = None) -> TokenRow:
    return TokenRow.of(line, tokens.tokens, tokens.weights, extras)
