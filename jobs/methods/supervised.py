"""Supervised fine-tuning: cross-entropy on what the assistant says."""

from collections.abc import Iterator

from jobs.methods.loop import train
from jobs.methods.method import Plan, Run, TokenObjective, TrainingMethod
from jobs.methods.reporting import StepReport


class Supervised(TrainingMethod):
    """Rows are conversations, or prompts with completions."""

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        return train(plan, run, TokenObjective())
