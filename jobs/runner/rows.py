"""A stored data set as token rows of one base."""

from array import array
from collections.abc import Callable, Iterable, Iterator

from jobs.methods.batches import TokenRow
from service.core.datasets import BadLine, ChatRow, CompletionRow, Report, Row, RowKind, read_rows
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
    report = Report()
    for row in read_rows(chunks, kind=RowKind.CONVERSATION, report=report):
        pulse()
        try:
            encoded = _encode(row, codec)
            _check(encoded, context_length)
        except ChatTemplateError as error:
            report.add(_refused(error).at(row.line))
        except BadLine as bad:
            report.add(bad.at(row.line))
        else:
            tokens, weights = array("i", encoded.tokens), array("f", encoded.weights)
            yield TokenRow(row.line, tokens, weights)
    report.raise_if_errors(param)


def _encode(row: Row, codec: TextCodec) -> TrainingTokens:
    match row:
        case ChatRow():
            return codec.training_row(row.messages, tools=row.tools)
        case CompletionRow():
            return codec.completion_row(row.prompt, row.completion)
    raise TypeError(f"{type(row).__name__} is no row of supervised fine-tuning")


def _refused(error: ChatTemplateError) -> BadLine:
    return BadLine("template_refuses", f"cannot be rendered: {error.message.rstrip('.')}")


def _check(encoded: TrainingTokens, context_length: int) -> None:
    """Raises BadLine."""
    if len(encoded.tokens) > context_length:
        raise BadLine(
            "over_length",
            f"has {len(encoded.tokens)} tokens, more than the {context_length} that the model's "
            "context holds",
            "shorten or split it",
        )
    if not encoded.trained:
        raise BadLine(
            "nothing_trained",
            "trains nothing, because no assistant message in it has weight 1",
            "give one that weight or remove the line",
        )
