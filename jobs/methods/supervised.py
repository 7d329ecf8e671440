"""Supervised fine-tuning: cross-entropy on what the assistant says."""

from collections.abc import Iterable, Iterator

from jobs.methods.examples import Example, TokenRow
from jobs.methods.loop import train
from jobs.methods.method import Plan, Run, TokenObjective, TrainingMethod
from jobs.methods.reporting import StepReport
from service.core.datasets import BadLine, ChatRow, CompletionRow, Row, RowKind
from service.core.text import TextCodec, TrainingTokens


class Supervised(TrainingMethod):
    """Rows are conversations, or prompts with completions."""

    kind = RowKind.CONVERSATION

    def encode(self, row: Row, codec: TextCodec) -> Iterable[Example]:
        encoded = _encode(row, codec)
        if not encoded.trained:
            raise BadLine(
                "nothing_trained",
                "trains nothing, because no assistant message in it has weight 1",
                "give one that weight or remove the line",
            )
        yield Example((TokenRow.of(row.line, encoded.tokens, encoded.weights),))

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        return train(plan, run, TokenObjective())


def _encode(row: Row, codec: TextCodec) -> TrainingTokens:
    match row:
        case ChatRow():
            return codec.training_row(row.messages, tools=row.tools)
        case CompletionRow():
            return codec.completion_row(row.prompt, row.completion)
    raise TypeError(f"{type(row).__name__} is no row of supervised fine-tuning")
