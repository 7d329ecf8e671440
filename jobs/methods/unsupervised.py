"""Continued pretraining: cross-entropy on every token of raw text.

A document longer than a row has been split into several. Short ones are packed; no document
attends to another. Some general text can be mixed in against forgetting (Ibrahim et al. 2024).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jobs.methods.examples import Example
from jobs.methods.loop import train
from jobs.methods.method import Measurement, Plan, Run, TokenObjective, TrainingMethod
from jobs.methods.reporting import StepReport
from service.core.batching import choose_replayed
from service.core.engine_protocol import RowLoss


class Unsupervised(TrainingMethod):
    """Rows are texts."""

    minimum_examples = 1

    def __init__(self, replay_ratio: float = 0.0) -> None:
        self._replay_ratio = replay_ratio

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        mixed = [*plan.training, *self._replayed(plan)]
        return train(replace(plan, training=mixed), run, _Perplexity())

    def _replayed(self, plan: Plan) -> Sequence[Example]:
        """As much of the general text as makes up its share of all tokens, drawn by the seed; told
        apart by a negative line, since it is no part of the training file."""
        own = sum(example.tokens for example in plan.training)
        sizes = [example.tokens for example in plan.replay]
        chosen = choose_replayed(sizes, own=own, ratio=self._replay_ratio, seed=plan.seed)
        return [
            Example(tuple(replace(row, line=-row.line) for row in plan.replay[place].rows))
            for place in chosen
        ]


class _Perplexity(TokenObjective):
    """With what the loss means to those who know language models."""

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        measured = super().measure(examples, rows)
        perplexity = math.exp(min(measured.metrics["loss"], 700.0))
        return Measurement({**measured.metrics, "perplexity": perplexity})
