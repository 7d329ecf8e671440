"""Training computes what peft and torch compute, however the rows are cut and mixed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F

from service.core.engine_protocol import (
    CommandFailed,
    ForwardDone,
    LoraTuning,
    OptimStepDone,
    TrainingRow,
)
from service.core.errors import Conflict
from service.engine.parts import AdapterWeights, EngineLimits
from tests.fakes.adapters import FakeAdapterSink
from tests.service.engine.peft_adapters import peft_model
from tests.service.engine.real_engine import LIMITS, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import LEARNING_RATE, Job

ROWS = make_rows((9, 40, 17, 33, 5, 64, 12, 2))
TUNINGS = [
    LoraTuning(rank=4, alpha=8),
    LoraTuning(rank=8, alpha=8, target_modules=("q_proj", "v_proj")),
    LoraTuning(rank=2, alpha=8, use_rslora=True),
]
SPLIT = replace(LIMITS, micro_batch_tokens=16, merged_tokens=16)
WHOLE = replace(LIMITS, micro_batch_tokens=4096, merged_tokens=4096)


def train(job: Job, *, steps: int = 3, rows: list[TrainingRow] = ROWS) -> str:
    """Returns where the final weights are saved."""
    for step in range(1, steps + 1):
        job.forward_backward(rows, step=step)
        job.optimize(step=step, weight_decay=0.1)
    return job.save(steps)


def train_alone(
    tuning: LoraTuning, *, limits: EngineLimits = LIMITS, seed: int = 7
) -> AdapterWeights:
    sink = FakeAdapterSink()
    with running_engine(sink=sink, limits=limits) as engine:
        job = Job(engine, tuning=tuning, seed=seed)
        key = train(job)
        job.finish()
    return sink.adapters[key]


def flat(weights: AdapterWeights) -> torch.Tensor:
    return torch.cat([t.flatten() for p in weights.modules.values() for t in (p.a, p.b)])


def assert_close(got: AdapterWeights, expected: AdapterWeights) -> None:
    torch.testing.assert_close(flat(got), flat(expected), rtol=1e-4, atol=2e-5)


def trainable(model: PeftModel) -> Mapping[str, torch.nn.Parameter]:
    parameters = {n: p for n, p in model.named_parameters() if "lora_" in n}
    for parameter in parameters.values():
        parameter.requires_grad_()
    return parameters


def peft_losses(model: PeftModel, rows: list[TrainingRow]) -> list[torch.Tensor]:
    losses = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.tokens]), use_cache=False).logits[0, :-1]
        nll = F.cross_entropy(logits, torch.tensor(row.tokens[1:]), reduction="none")
        losses.append((nll * torch.tensor(row.weights[1:])).sum())
    return losses


@pytest.mark.parametrize("tuning", TUNINGS, ids=("all", "two", "rslora"))
def test_steps_are_those_of_peft_and_torch(tuning: LoraTuning, tmp_path: Path) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine, tuning=tuning)
        start = job.save(0)
        final = train(job)
        results = job.finish()

    model = peft_model(load_tiny_model(), sink.adapters[start], tmp_path)
    parameters = trainable(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=0.1)
    normalizer = sum(sum(row.weights) for row in ROWS)
    for step in range(3):
        losses = peft_losses(model, ROWS)
        (torch.stack(losses).sum() / normalizer).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done = [result for result in results if isinstance(result, ForwardDone)][step]
        optimized = [result for result in results if isinstance(result, OptimStepDone)][step]
        assert [row.loss for row in done.rows] == pytest.approx(
            [x.item() for x in losses], rel=1e-4, abs=1e-4
        )
        assert optimized.grad_norm == pytest.approx(float(norm), rel=1e-3)
    for name, pair in sink.adapters[final].modules.items():
        for factor, got in (("A", pair.a), ("B", pair.b)):
            expected = parameters[f"base_model.model.{name}.lora_{factor}.default.weight"]
            torch.testing.assert_close(got, expected.detach(), rtol=1e-3, atol=1e-4)


def test_fresh_weights_change_nothing_and_have_pefts_spread() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        key = job.save(0)
        job.finish()
        assert job.opened.trainable_parameters == flat(sink.adapters[key]).numel()

    for pair in sink.adapters[key].modules.values():
        bound = pair.a.shape[1] ** -0.5
        assert not pair.b.any()
        assert 0.8 * bound < float(pair.a.abs().max()) <= bound


def test_rows_report_what_was_predicted() -> None:
    model = load_tiny_model()
    with running_engine() as engine:
        job = Job(engine)
        job.forward(ROWS)
        (done,) = job.finish()

    assert isinstance(done, ForwardDone)
    assert [row.line for row in done.rows] == [row.line for row in ROWS]
    assert done.tokens == sum(len(row.tokens) for row in ROWS)
    for row, report in zip(ROWS, done.rows, strict=True):
        likeliest = model(input_ids=torch.tensor([row.tokens])).logits[0].argmax(-1).tolist()
        trained = [i for i, weight in enumerate(row.weights) if weight > 0]
        assert report.trained_tokens == len(trained)
        assert report.weight == sum(row.weights)
        assert report.correct == sum(likeliest[i - 1] == row.tokens[i] for i in trained)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_cutting_into_micro_batches_changes_nothing(dropout: float) -> None:
    tuning = LoraTuning(rank=4, alpha=8, dropout=dropout)

    assert_close(train_alone(tuning, limits=SPLIT), train_alone(tuning, limits=WHOLE))


def test_dropout_is_drawn_from_the_seed() -> None:
    tuning = LoraTuning(rank=4, alpha=8, dropout=0.3)
    plain = train_alone(LoraTuning(rank=4, alpha=8))

    dropped = train_alone(tuning)

    assert torch.equal(flat(dropped), flat(train_alone(tuning)))
    assert not torch.allclose(flat(dropped), flat(plain), atol=1e-3)


@pytest.mark.parametrize("limits", [SPLIT, LIMITS, WHOLE], ids=("split", "merged", "whole"))
def test_trained_together_equals_trained_alone(limits: EngineLimits) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink, limits=limits) as engine:
        jobs = [Job(engine, f"ftjob-{i}", tuning=tuning) for i, tuning in enumerate(TUNINGS)]
        keys = [train(job) for job in jobs]
        for job in jobs:
            job.finish()

    for key, tuning in zip(keys, TUNINGS, strict=True):
        assert_close(sink.adapters[key], train_alone(tuning))


def test_a_diverging_job_leaves_its_neighbour_alone() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink, limits=WHOLE) as engine:
        wild, calm = Job(engine, "ftjob-wild"), Job(engine, "ftjob-calm", tuning=TUNINGS[0])
        for step in range(1, 4):
            wild.forward_backward(ROWS, step=step)
            wild.optimize(step=step, learning_rate=1e30, max_grad_norm=None)
        key = train(calm)
        calm.finish()
        failed = wild.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert failed.error.code == "training_diverged"
    assert_close(sink.adapters[key], train_alone(TUNINGS[0]))


def test_a_command_that_fails_ends_its_own_session_only() -> None:
    with running_engine(limits=WHOLE) as engine:
        broken, fine = Job(engine, "ftjob-broken"), Job(engine, "ftjob-fine")
        row = TrainingRow(line=3, group=3, tokens=(5, 100_000), weights=(0, 1))
        broken.forward_backward([*ROWS[:2], row])
        fine.forward_backward(ROWS)
        failed, done = broken.finish()[-1], fine.finish()[-1]
        with pytest.raises(Conflict):
            broken.optimize()

    assert isinstance(failed, CommandFailed)
    assert "line 3" in failed.error.message
    assert isinstance(done, ForwardDone)


def test_a_gradient_that_is_not_finite_is_skipped_and_cleared() -> None:
    sink = FakeAdapterSink()
    huge = TrainingRow(line=1, group=1, tokens=(5, 6, 7), weights=(0, 1e38, 1e38))
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        before = job.save(0)
        job.forward_backward(ROWS)
        job.forward_backward([huge], normalizer=1)
        job.forward_backward(ROWS)
        job.optimize()
        after = job.save(1)
        job.optimize(step=2)
        results = job.finish()

    skipped, empty = [r for r in results if isinstance(r, OptimStepDone)]
    assert (skipped.grad_norm, skipped.skipped) == (None, True)
    assert empty.grad_norm == 0
    assert torch.equal(flat(sink.adapters[before]), flat(sink.adapters[after]))


def test_measuring_leaves_the_gradient_alone() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        for step in range(1, 4):
            job.forward(ROWS[:3])
            job.forward_backward(ROWS, step=step)
            job.forward([])
            job.forward(ROWS)
            job.optimize(step=step, weight_decay=0.1)
        key = job.save(3)
        job.finish()

    assert_close(sink.adapters[key], train_alone(LoraTuning(rank=4, alpha=8)))


def test_rows_without_weight_are_computed_and_train_nothing() -> None:
    row = TrainingRow(line=1, group=1, tokens=(5, 6, 7), weights=(0, 0, -1))
    with running_engine() as engine:
        job = Job(engine)
        job.forward_backward([row], normalizer=1)
        job.optimize()
        done, optimized = job.finish()

    assert isinstance(done, ForwardDone)
    assert (done.rows[0].trained_tokens, done.rows[0].loss, done.tokens) == (0, 0, 3)
    assert isinstance(optimized, OptimStepDone)
    assert optimized.grad_norm == 0
