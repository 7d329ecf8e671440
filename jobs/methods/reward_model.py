"""A reward model: a head that scores the better of two answers higher (Ouyang et al. 2022)."""

from collections.abc import Iterator, Sequence

from jobs.methods.examples import Example
from jobs.methods.loop import train
from jobs.methods.method import Measurement, PairObjective, Plan, Run, TrainingMethod
from jobs.methods.reporting import StepReport, Tally, row_mean
from service.core.domain.jobs import DataFacts
from service.core.domain.tunings import HeadTuningSpec, TuningSpec
from service.core.engine_protocol import BradleyTerry, HeadSpec, Loss, RowLoss


class RewardModel(TrainingMethod):
    """Rows are pairs of answers to one conversation."""

    def __init__(self, tuning: TuningSpec) -> None:
        self._tuning = tuning

    def head(self, facts: DataFacts) -> HeadSpec:
        del facts
        tuning = self._tuning
        if isinstance(tuning, HeadTuningSpec):
            return HeadSpec(
                kind="reward", hidden_layers=tuning.hidden_layers, dropout=tuning.dropout
            )
        return HeadSpec(kind="reward")

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        return train(plan, run, _Scoring())


class _Scoring(PairObjective):
    @property
    def loss(self) -> Loss:
        return BradleyTerry()

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        tally = Tally.of(rows)
        metrics = {"loss": tally.loss, "preference_accuracy": tally.correct / len(examples)}
        margin = row_mean(rows, "margin")
        return Measurement(metrics if margin is None else {**metrics, "reward_margin": margin})
