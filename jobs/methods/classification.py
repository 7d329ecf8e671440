"""Classification: a head on the model's hidden states tells labels apart."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from jobs.methods.calibration import fit_temperature
from jobs.methods.examples import Example
from jobs.methods.loop import train
from jobs.methods.method import Measurement, Objective, Plan, Run, TrainingMethod
from jobs.methods.reporting import StepReport, Tally
from jobs.methods.scoring import label_report, predicted
from service.core.domain.jobs import DataFacts
from service.core.domain.methods import ClassificationMethod
from service.core.domain.tunings import HeadTuningSpec, TuningSpec
from service.core.engine_protocol import Classification as ClassificationLoss
from service.core.engine_protocol import HeadSpec, LabelExtras, Loss, RowLoss


class Classification(TrainingMethod):
    """Rows are texts or conversations with labels."""

    def __init__(self, options: ClassificationMethod, tuning: TuningSpec) -> None:
        self._options = options
        self._tuning = tuning

    def head(self, facts: DataFacts) -> HeadSpec:
        alone = self._tuning if isinstance(self._tuning, HeadTuningSpec) else HeadTuningSpec((), 0)
        return HeadSpec(
            kind="classification",
            labels=facts.labels,
            multi_label=facts.is_multi_label,
            hidden_layers=alone.hidden_layers,
            dropout=alone.dropout,
            pooling=self._options.pooling,
        )

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        number = {label: index for index, label in enumerate(plan.facts.labels)}
        weights = label_weights(self._options, plan.training, plan.facts)
        numbered = replace(
            plan,
            training=[_numbered(example, number) for example in plan.training],
            validation=[_numbered(example, number) for example in plan.validation],
        )
        return train(numbered, run, _Telling(plan.facts, weights))


class _Telling(Objective):
    report = ("scores",)
    is_calibrated = True

    def __init__(self, facts: DataFacts, weights: Sequence[float]) -> None:
        self._facts = facts
        self._weights = tuple(weights)

    @property
    def loss(self) -> Loss:
        return ClassificationLoss(label_weights=self._weights)

    def normalizer(self, examples: Sequence[Example]) -> float:
        if self._facts.is_multi_label or not self._weights:
            return float(len(examples))
        return sum(self._weights[_labels(example)[0]] for example in examples)

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        tally = Tally.of(rows)
        metrics = {"loss": tally.loss, "accuracy": tally.correct / len(examples)}
        if not all(row.scores for row in rows):  # training steps tell only of the loss
            return Measurement(metrics)
        scores = [row.scores for row in rows]
        truth = [_labels(example) for example in examples]
        is_multi = self._facts.is_multi_label
        answers = [predicted(s, is_multi_label=is_multi) for s in scores]
        report = label_report(truth, answers, self._facts.labels)
        return Measurement(
            {**metrics, "macro_f1": report["macro_f1"]},
            {"classification_report": report},
        )

    def calibrate(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> float:
        return fit_temperature(
            [row.scores for row in rows],
            [_labels(example) for example in examples],
            is_multi_label=self._facts.is_multi_label,
        )


def label_weights(
    options: ClassificationMethod, examples: Sequence[Example], facts: DataFacts
) -> Sequence[float]:
    """One for each label in order; empty where all count alike. balanced: rows / (labels · rows of
    the label), as scikit-learn has it."""
    if options.class_weights is None:
        return ()
    if options.class_weights == "balanced":
        found = Counter(label for example in examples for label in example.labels)
        return [len(examples) / (len(facts.labels) * found[label]) for label in facts.labels]
    return [options.class_weights.get(label, 1.0) for label in facts.labels]


def _numbered(example: Example, number: Mapping[str, int]) -> Example:
    extras = LabelExtras(labels=tuple(number[label] for label in example.labels))
    return replace(example, rows=tuple(replace(row, extras=extras) for row in example.rows))


def _labels(example: Example) -> tuple[int, ...]:
    extras = example.rows[0].extras
    return extras.labels if isinstance(extras, LabelExtras) else ()
