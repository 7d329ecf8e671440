"""Each loss is what its definition says, value and gradient, however rows are split and mixed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from service.core.engine_protocol import TrainingRow
from service.engine.runner import BaseRunner
from service.engine.training.losses import check_rows
from service.engine.training.pass_parts import PassPart
from service.engine.training.passes import measure, measure_and_differentiate
from tests.service.engine.real_engine import as_base, load_tiny_model
from tests.service.engine.training.loss_cases import CASES, Case
from tests.service.engine.training.plain_losses import plain_losses

LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=4)


@cache
def runner() -> BaseRunner:
    return BaseRunner(as_base(load_tiny_model()))


@cache
def plain_model() -> nn.Module:
    return load_tiny_model()


class Adapted(nn.Module):
    """The plain model, its linear weights W + scaling · B A."""

    def __init__(self, part: PassPart, leaves: dict[str, torch.Tensor]) -> None:
        super().__init__()
        lora = part.model.lora
        assert lora is not None
        self._parameters_used = {
            f"{name}.weight": plain_model().get_submodule(name).weight
            + lora.scaling * leaves[f"{name}.b"] @ leaves[f"{name}.a"]
            for name in lora.layers
        }

    def forward(self, **inputs: object) -> object:
        return torch.func.functional_call(plain_model(), self._parameters_used, (), inputs)


def plain(part: PassPart) -> tuple[list[float], list[torch.Tensor]]:
    """Losses in the order of the rows, gradients in the order of the model's leaves."""
    flat = part.model.weights.flat.detach().clone()
    leaves = {n: x.clone().requires_grad_() for n, x in part.model.weights.cut(flat).items()}
    head = {n.removeprefix("head."): x for n, x in leaves.items() if n.startswith("head.")}
    found = plain_losses(Adapted(part, leaves), part.loss, part.rows, part.spec, head)
    total = torch.stack(list(found.values())).sum() / part.normalizer
    gradients = torch.autograd.grad(
        total, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return [found[row.line].item() for row in part.rows], list(gradients)


def flat(gradients: Sequence[torch.Tensor] | None) -> torch.Tensor:
    assert gradients is not None
    return torch.cat([gradient.flatten() for gradient in gradients])


def assert_near(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@settings(max_examples=4, deadline=None)
@given(lengths=LENGTHS, seed=st.integers(0, 1000))
def test_loss_and_gradient_are_those_of_the_definition(
    case: Case, lengths: list[int], seed: int
) -> None:
    rows = case.rows(lengths, seed)
    check_rows(case.loss, (), case.head, rows)
    part = case.part(runner(), rows, seed)

    (outcome,) = measure_and_differentiate(runner(), [part])
    (measured,) = measure(runner(), [part])
    losses, gradients = plain(part)

    assert [row.loss for row in outcome.losses] == pytest.approx(losses, rel=1e-4, abs=1e-5)
    assert [row.loss for row in measured.losses] == pytest.approx(losses, rel=1e-4, abs=1e-5)
    assert [row.line for row in outcome.losses] == [row.line for row in rows]
    assert_near(flat(outcome.gradients), flat(gradients))


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_neither_splitting_nor_mixing_changes_anything(data: st.DataObject) -> None:
    names = data.draw(st.permutations(list(CASES)))[: data.draw(st.integers(2, len(CASES)))]
    jobs = []
    for seed, name in enumerate(names):
        rows = CASES[name].rows(data.draw(LENGTHS), seed)
        jobs.append(CASES[name].part(runner(), rows, seed))
    alone = [measure_and_differentiate(runner(), [job])[0] for job in jobs]

    mixed = measure_and_differentiate(runner(), jobs)
    halves = [[replace(job, rows=half) for half in _split(job.rows)] for job in jobs]
    split = [[measure_and_differentiate(runner(), [part])[0] for part in parts] for parts in halves]

    for job, one, whole, pieces in zip(jobs, alone, mixed, split, strict=True):
        expected = [row.loss for row in one.losses]
        assert [row.loss for row in whole.losses] == pytest.approx(expected, rel=1e-5, abs=1e-6)
        losses = {row.line: row.loss for piece in pieces for row in piece.losses}
        in_order = [losses[row.line] for row in job.rows]
        assert in_order == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert_near(flat(whole.gradients), flat(one.gradients))
        assert_near(sum(flat(piece.gradients) for piece in pieces), flat(one.gradients))


def _split(rows: tuple[TrainingRow, ...]) -> list[tuple[TrainingRow, ...]]:
    """By group, every other one."""
    halves = [tuple(row for row in rows if row.group % 2 == side) for side in (0, 1)]
    return [half for half in halves if half]


PLACES = [(name, "adapter") for name in CASES] + [
    (name, "head") for name, case in CASES.items() if case.head is not None
]


@pytest.mark.parametrize(("wild", "place"), PLACES)
def test_a_job_that_is_not_finite_leaves_the_others_alone(wild: str, place: str) -> None:
    jobs = {name: case.part(runner(), case.rows((5, 9), 1), 1) for name, case in CASES.items()}
    expected = dict(
        zip(jobs, measure_and_differentiate(runner(), list(jobs.values())), strict=True)
    )
    weights = jobs[wild].model.weights
    for name, tensor in weights.cut(weights.flat).items():
        if name.startswith("head.") == (place == "head"):
            tensor.fill_(float("nan"))
    weights.refresh()

    got = dict(zip(jobs, measure_and_differentiate(runner(), list(jobs.values())), strict=True))

    assert not torch.isfinite(flat(got[wild].gradients)).all()
    for name in jobs:
        if name != wild:
            assert got[name].losses == expected[name].losses
            assert torch.equal(flat(got[name].gradients), flat(expected[name].gradients))
