"""A stored data set as token rows of one base."""

from array import array
from collections.abc import Callable, Iterable, Iterator

from jobs.methods.batches import TokenRow
from service.core.datasets import ChatRow, Complaints, Row, read_rows
from service.core.errors import ChatTemplateError
from service.core.text import TextCodec, TrainingTokens


def token_rows(
    chunks: Iterable[bytes],
    codec: TextCodec,
    *,
    context_length: int,
    param: str,
    pulse: Callable[[], None],
) -> Iterator[TokenRow]:
    """Every row that can be trained on; `pulse` is called before each and may raise.

    A file with a row that cannot be trained on ends in an InvalidTrainingFile that names the line.
    """
    complaints = Complaints(param)
    for row in read_rows(chunks, param=param, complaints=complaints):
        pulse()
        try:
            encoded = _encode(row, codec)
        except ChatTemplateError as error:
            complaints.add(row.line, f"cannot be rendered: {error.message.rstrip('.')}")
            continue
        problem = _problem_of(encoded, context_length)
        if problem is None:
            tokens, weights = array("i", encoded.tokens), array("f", encoded.weights)
            yield TokenRow(row.line, tokens, weights)
        else:
            complaints.add(row.line, problem)


def _encode(row: Row, codec: TextCodec) -> TrainingTokens:
    if isinstance(row, ChatRow):
        return codec.training_row(row.messages, tools=row.tools)
    return codec.completion_row(row.prompt, row.completion)


def _problem_of(encoded: TrainingTokens, context_length: int) -> str | None:
    if len(encoded.tokens) > context_length:
        return (
            f"has {len(encoded.tokens)} tokens, more than the {context_length} that the model's "
            "context holds; shorten or split it"
        )
    if not encoded.trained:
        return (
            "trains nothing, because no assistant message in it has weight 1; give one that "
            "weight or remove the line"
        )
    return None
