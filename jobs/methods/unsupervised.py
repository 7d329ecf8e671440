"""Continued pretraining: cross-entropy on every token of raw text.

A document longer than a row is cut into several, each of which begins with the last token of the
one before, so that every token is predicted once. Short ones are packed; no document attends to
another. Some general text can be mixed in against forgetting (Ibrahim et al. 2024).
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from jobs.methods.examples import Example, TokenRow
from jobs.methods.loop import train
from jobs.methods.method import Measurement, Plan, Run, TokenObjective, TrainingMethod
from jobs.methods.reporting import StepReport
from jobs.methods.seeds import derived_seed
from service.core.datasets import Row, RowKind, TextRow
from service.core.engine_protocol import RowLoss
from service.core.text import TextCodec


class Unsupervised(TrainingMethod):
    """Rows are texts."""

    kind = RowKind.TEXT
    minimum_examples = 1

    def __init__(self, limit: int, replay_ratio: float = 0.0) -> None:
        """`limit`: tokens of the longest row."""
        self._limit = limit
        self._replay_ratio = replay_ratio

    def encode(self, row: Row, codec: TextCodec) -> Iterable[Example]:
        if not isinstance(row, TextRow):
            raise TypeError(f"{type(row).__name__} is no row of text")
        tokens, limit = codec.document_row(row.text).tokens, self._limit
        for start in range(0, len(tokens) - 1, limit - 1):
            part = tokens[start : start + limit]
            yield Example((TokenRow.of(row.line, part, (0.0, *(1.0,) * (len(part) - 1))),))

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        mixed = [*plan.training, *self._replayed(plan)]
        return train(replace(plan, training=mixed), run, _Perplexity())

    def _replayed(self, plan: Plan) -> Sequence[Example]:
        """As much of the general text as makes up its share of all tokens, drawn by the seed; told
        apart by a negative line, since it is no part of the training file."""
        own = sum(example.tokens for example in plan.training)
        missing = own * self._replay_ratio / (1 - self._replay_ratio)
        order = list(plan.replay)
        random.Random(derived_seed("replay", plan.seed)).shuffle(order)
        chosen = []
        for example in order:
            if missing <= 0:
                break
            missing -= example.tokens
            chosen.append(Example(tuple(replace(row, line=-row.line) for row in example.rows)))
        return chosen


class _Perplexity(TokenObjective):
    """With what the loss means to those who know language models."""

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        measured = super().measure(examples, rows)
        perplexity = math.exp(min(measured.metrics["loss"], 700.0))
        return Measurement({**measured.metrics, "perplexity": perplexity})
