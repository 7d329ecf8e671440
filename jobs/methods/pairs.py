"""Preference rows as pairs of token rows: a common conversation and two ways to go on."""

from jobs.methods.examples import Example, TokenRow
from service.core.datasets import BadLine, PreferenceRow, Row
from service.core.engine_protocol import PairExtras
from service.core.text import TextCodec


def encode_pair(row: Row, codec: TextCodec) -> Example:
    """The chosen row and the rejected one; only what comes after the common conversation has
    weight. Raises ChatTemplateError, BadLine."""
    if not isinstance(row, PreferenceRow):
        raise TypeError(f"{type(row).__name__} is no row of preferences")
    common = [
        {**message, "weight": 0} if message["role"] == "assistant" else message
        for message in row.messages
    ]
    rows = []
    for answer, is_chosen in ((row.preferred, True), (row.rejected, False)):
        encoded = codec.training_row([*common, {**answer, "weight": 1}], tools=row.tools)
        extras = PairExtras(is_chosen=is_chosen)
        rows.append(TokenRow.of(row.line, encoded.tokens, encoded.weights, extras))
    if rows[0].tokens == rows[1].tokens:
        raise BadLine(
            "equal_answers",
            "prefers an answer to one that is the same to the model",
            "make the two differ or remove the line",
        )
    return Example(tuple(rows))
