"""What rows report beside their loss, and against which weights."""

import math

import pytest
import torch

from service.core.engine_protocol import (
    CommandFailed,
    CrossEntropy,
    Dpo,
    ForwardDone,
    HeadSpec,
    LoraTuning,
    Loss,
    PairExtras,
    Policy,
    PolicyExtras,
    TrainingRow,
)
from service.engine.training.losses import Measured, Shares
from service.engine.training.reports import report_rows
from tests.service.engine.real_engine import running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import Job

ROWS = make_rows((9, 30, 5))


def pair(*, chosen: float = -9.0, rejected: float = -9.0) -> list[TrainingRow]:
    return [
        TrainingRow(
            line=line,
            group=1,
            tokens=(5, 6, 7, 8 + line),
            weights=(0.0, 0.0, 1.0, 1.0),
            extras=PairExtras(is_chosen=line == 1, reference=reference),
        )
        for line, reference in ((1, chosen), (2, rejected))
    ]


def policy_row(old: tuple[float, ...]) -> TrainingRow:
    extras = PolicyExtras(old_logprobs=old, advantages=(1.0, -1.0), reference_logprobs=old)
    return TrainingRow(
        line=1, group=1, tokens=(5, 6, 7, 8), weights=(0.0, 0.0, 1.0, 1.0), extras=extras
    )


def test_the_reference_is_what_the_session_began_with() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.forward(ROWS, report=("logprobs",))
        for step in (1, 2):
            job.forward_backward(ROWS, step=step)
            job.optimize(step=step)
        job.forward(ROWS, report=("logprobs",))
        job.forward(ROWS, report=("logprobs",), at_start=True)
        measured = [x.rows for x in job.finish() if isinstance(x, ForwardDone)]

    first, _, _, now, at_start = measured
    assert [row.logprobs for row in at_start] == [row.logprobs for row in first]
    assert [row.logprobs for row in now] != [row.logprobs for row in first]
    for row, asked in zip(first, ROWS, strict=True):
        trained = [weight for weight in asked.weights if weight > 0]
        expected = -sum(w * x for w, x in zip(trained, row.logprobs, strict=True))
        assert row.loss == pytest.approx(expected, rel=1e-5)


def test_the_ratio_is_exactly_one_before_the_first_step() -> None:
    blank = policy_row((0.0, 0.0))
    with running_engine() as engine:
        job = Job(engine, tuning=LoraTuning(rank=4, alpha=8, dropout=0.3))
        job.forward([blank], report=("logprobs",))
        before = job.finish()[-1]
        assert isinstance(before, ForwardDone)
        row = policy_row(before.rows[0].logprobs)
        loss = Policy(kl_coefficient=0.1)
        job.forward_backward([row], loss=loss)
        job.optimize(learning_rate=0.05)
        job.forward([row], loss=loss)
        first, _, later = job.finish()[-3:]

    assert isinstance(first, ForwardDone)
    assert isinstance(later, ForwardDone)
    told = first.rows[0].metrics
    assert (told["ratio"], told["kl"], told["old_kl"], told["clip_fraction"]) == (1, 0, 0, 0)
    assert 0 < told["entropy"] <= math.log(300)
    assert later.rows[0].metrics["ratio"] != 1
    assert later.rows[0].metrics["kl"] > 0
    assert "value_loss" not in told


def test_a_pair_tells_its_rewards() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.forward(pair(), loss=Dpo(beta=0.5), report=("logprobs",))
        done = job.finish()[-1]

    assert isinstance(done, ForwardDone)
    chosen, rejected = done.rows
    rewards = [0.5 * (sum(row.logprobs) + 9.0) for row in done.rows]
    assert chosen.metrics["chosen_reward"] == pytest.approx(rewards[0], rel=1e-5)
    assert chosen.metrics["rejected_reward"] == pytest.approx(rewards[1], rel=1e-5)
    assert chosen.metrics["reward_margin"] == pytest.approx(rewards[0] - rewards[1], rel=1e-4)
    assert chosen.correct == (rewards[0] > rewards[1])
    assert (rejected.loss, rejected.weight, rejected.metrics) == (0, 0, {})


def test_a_metric_that_overflows_stays_a_number() -> None:
    row = policy_row((0.0, 0.0))
    nothing = torch.empty(0)
    found = Measured([row], torch.empty(0, dtype=torch.long), nothing, nothing, nothing)
    ones = torch.ones(1)
    shares = Shares(ones, ones, ones, {"ratio": torch.tensor([math.inf]), "kl": ones * math.nan})

    (told,) = report_rows(found, shares, [0], ())

    assert set(told.metrics) == {"ratio"}
    assert math.isfinite(told.metrics["ratio"])


@pytest.mark.parametrize(
    ("loss", "rows", "reason"),
    [
        (Dpo(), ROWS, "line 1: this loss needs extras of kind 'pair'"),
        (Dpo(), pair()[:1], "group 1 is not one chosen and one rejected row"),
        (Policy(), ROWS, "line 1: this loss needs extras of kind 'policy'"),
        (Policy(), [policy_row((0.0,))], "line 1 has 1 'old_logprobs' for 2 trained tokens"),
        (Policy(value_coefficient=1), [policy_row((0.0, 0.0))], "needs a head of kind 'value'"),
    ],
)
def test_rows_that_the_loss_cannot_use_are_refused_by_line(
    loss: Loss, rows: list[TrainingRow], reason: str
) -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.forward_backward(rows, loss=loss, normalizer=1)
        failed = job.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert (failed.error.code, reason in failed.error.message) == ("invalid_value", True)


def test_a_head_has_no_values_at_the_start() -> None:
    with running_engine() as engine:
        job = Job(engine, head=HeadSpec(kind="value"))
        job.forward(ROWS, loss=CrossEntropy(), report=("values",), at_start=True)
        failed = job.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert "at_start" in failed.error.message
