"""Layers that are computed again in the backward give the same gradients and keep less."""

import copy

import pytest
import torch

from service.engine.runner import BaseRunner
from service.engine.training.pass_parts import PartOutcome
from service.engine.training.passes import measure_and_differentiate
from tests.service.engine.fused.test_fused import losses, parts
from tests.service.engine.generation.test_architectures import build
from tests.service.engine.real_engine import as_base


def differentiate(
    *, architecture: str, use_fused: bool, keeps_insides: bool
) -> tuple[list[PartOutcome], int]:
    """The outcomes of four jobs, two of them with dropout, and the bytes saved on the way."""
    model = copy.deepcopy(build(architecture, {"num_hidden_layers": 8}))
    limit = 10**12 if keeps_insides else 0
    runner = BaseRunner(as_base(model), use_fused=use_fused, activation_bytes=limit)
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outcomes = measure_and_differentiate(runner, parts(runner, dropout=0.3))
    return outcomes, sum(sizes.values())


@pytest.mark.parametrize(
    ("architecture", "use_fused"), [("llama", True), ("llama", False), ("gemma2", False)]
)
def test_gradients_are_the_same_dropout_included(architecture: str, use_fused: bool) -> None:
    (expected, kept), (got, kept_again) = (
        differentiate(architecture=architecture, use_fused=use_fused, keeps_insides=keeps)
        for keeps in (True, False)
    )

    assert losses(got) == losses(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.gradients is not None
        assert theirs.gradients is not None
        for x, y in zip(ours.gradients, theirs.gradients, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-6 * float(y.abs().max() + 1))
    if not use_fused:  # the fused layers keep theirs where no hook sees them
        assert kept_again < kept / 2
