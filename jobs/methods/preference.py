"""Direct preference optimisation, and its relatives IPO and SimPO.

DPO and IPO measure how much further than the reference the policy prefers the chosen answer. The
reference is what the session began with; its log-probabilities never change, so they are computed
once and kept for later attempts.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jobs.methods.evaluating import forward_all
from jobs.methods.examples import Example
from jobs.methods.loop import train
from jobs.methods.method import Measurement, PairObjective, Plan, Run, TrainingMethod
from jobs.methods.reporting import StepReport, Tally, row_mean
from service.core.domain.methods import DpoMethod
from service.core.engine_protocol import Dpo, Ipo, Loss, PairExtras, RowLoss, SimPo

_REFERENCE = "reference"


class Preference(TrainingMethod):
    """Rows are pairs of answers to one conversation."""

    def __init__(self, options: DpoMethod) -> None:
        self._objective = _Preferring(_loss_of(options))

    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        if self._objective.needs_reference:
            plan = _with_reference(plan, run)
        yield from train(plan, run, self._objective)


class _Preferring(PairObjective):
    def __init__(self, loss: Loss) -> None:
        self._loss = loss

    @property
    def loss(self) -> Loss:
        return self._loss

    @property
    def needs_reference(self) -> bool:
        return isinstance(self._loss, Dpo | Ipo)

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        tally = Tally.of(rows)
        metrics = {"loss": tally.loss, "preference_accuracy": tally.correct / len(examples)}
        for name in ("reward_margin", "chosen_reward", "rejected_reward"):
            value = row_mean(rows, name)
            if value is not None:
                metrics[name] = value
        return Measurement(metrics)


def _loss_of(options: DpoMethod) -> Loss:
    match options.loss:
        case "ipo":
            return Ipo(beta=options.beta)
        case "simpo":
            return SimPo(beta=options.beta, gamma=options.gamma)
    return Dpo(beta=options.beta)


def _with_reference(plan: Plan, run: Run) -> Plan:
    """Every row with Σ weight · log p(token) under the reference."""
    examples = [*plan.training, *plan.validation]
    kept = run.artefacts.get(_REFERENCE)
    if kept is None:
        sums = _reference_sums(examples, run)
        run.artefacts.put(_REFERENCE, json.dumps(sums).encode())
    else:
        sums = json.loads(kept)
    numbers = iter(sums)
    known = [
        Example(tuple(replace(row, extras=_referring(row.extras, next(numbers))) for row in e.rows))
        for e in examples
    ]
    number = len(plan.training)
    return replace(plan, training=known[:number], validation=known[number:])


def _reference_sums(examples: Sequence[Example], run: Run) -> list[float]:
    results = forward_all(run.session, examples, step=0, report=("logprobs",), at_start=True)
    rows = [row for example in examples for row in example.rows]
    sums = []
    for row, result in zip(rows, results, strict=True):
        trained = [weight for weight in row.weights if weight > 0]
        sums.append(sum(w * p for w, p in zip(trained, result.logprobs, strict=True)))
    return sums


def _referring(extras: object, reference: float) -> PairExtras:
    if not isinstance(extras, PairExtras):
        raise TypeError("a row of a pair has a pair's extras")
    return PairExtras(is_chosen=extras.is_chosen, reference=reference)
