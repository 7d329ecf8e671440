"""A probe tells whether an adapter computes here what it is defined to compute."""

from pathlib import Path

import pytest
import torch

from service.core.engine_protocol import DeltaRef, LoraTuning, ModelRef, ProbeRequest
from service.core.errors import AdapterCorrupt, InvalidRequest, ModelNotFound
from service.engine.parts import AdapterWeights, LoraPair
from service.engine.probing import Arithmetic, compare
from service.engine.runner import BaseRunner
from tests.fakes.adapters import FakeAdapterSource
from tests.service.engine.export.exportable import logits
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_oracle import make_adapter, peft_model
from tests.service.engine.real_engine import BASE, as_base, load_tiny_model, running_engine

ROWS = ((20, 30, 40, 50, 60), (70, 80, 90))


def ask(ref: DeltaRef, rows: tuple[tuple[int, ...], ...] = ROWS) -> ProbeRequest:
    return ProbeRequest(model=ModelRef(base=BASE, delta=ref), rows=rows)


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "down_proj")])
def test_the_merged_arithmetic_is_pefts(
    tmp_path: Path, targets: str | tuple[str, ...], use_rslora: bool
) -> None:
    weights = make_adapter("a", load_tiny_model(), targets=targets, use_rslora=use_rslora)
    runner = BaseRunner(as_base(load_tiny_model()))

    found = logits(runner, weights, ROWS, Arithmetic.MERGED)

    with torch.inference_mode():
        oracle = peft_model(load_tiny_model(), weights, tmp_path)
        expected = [oracle(input_ids=torch.tensor([row])).logits[0] for row in ROWS]
    assert torch.allclose(found, torch.cat(expected), rtol=1e-4, atol=1e-3)


def test_a_probe_compares_what_is_served_with_the_definition() -> None:
    source = FakeAdapterSource()
    ref = source.put(make_adapter("a", load_tiny_model()), in_memory=False)
    with running_engine(source=source) as engine:
        probed = engine.artefacts.probe(ask(ref))
        shapes = engine.artefacts.shapes(BASE)

    assert probed.is_finite
    comparison = probed.comparison
    assert comparison is not None
    assert comparison.is_parity
    assert comparison.median_difference < 1e-4 < 0.1 < comparison.effect
    assert comparison.top_token_agreement == 1
    assert shapes.linears["model.layers.0.mlp.down_proj"] == (48, 96)


def test_weights_that_overflow_are_told_and_disturb_no_stream() -> None:
    source = FakeAdapterSource()
    huge = LoraPair(torch.full((1, 48), 1e30), torch.full((48, 1), 1e30))
    modules = {"model.layers.0.self_attn.q_proj": huge}
    ref = source.put(AdapterWeights("huge", "0" * 64, LoraTuning(rank=1, alpha=1), 1.0, modules))
    with running_engine(source=source) as engine:
        connection = Connection(engine)
        alone = connection.wait(connection.start("alone", [20, 30, 40]))
        beside = connection.start("beside", [20, 30, 40], max_tokens=64)
        probed = engine.artefacts.probe(ask(ref))
        connection.wait(beside)

    assert (probed.is_finite, probed.comparison) == (False, None)
    assert len(alone.tokens) == 8
    assert beside.tokens[:8] == alone.tokens


def test_what_cannot_be_probed_is_refused() -> None:
    source = FakeAdapterSource()
    ref = source.put(make_adapter("a", load_tiny_model()))
    lost = DeltaRef(id="lost", key="lost", digest="0" * 64)
    with running_engine(source=source) as engine:
        with pytest.raises(AdapterCorrupt):
            engine.artefacts.probe(ask(lost))
        with pytest.raises(ModelNotFound):
            engine.artefacts.probe(ProbeRequest(model=ModelRef(base="other", delta=ref), rows=ROWS))
        for rows in (((),), ((10**6,),), ((1,) * 600,), ((-1,),)):
            with pytest.raises(InvalidRequest):
                engine.artefacts.probe(ask(ref, rows))


def test_a_delta_that_is_missing_is_no_parity_although_it_is_small() -> None:
    base = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    noise = 0.01 * torch.randn(50, 100, generator=torch.Generator().manual_seed(1))
    delta = 0.07 * torch.randn(50, 100, generator=torch.Generator().manual_seed(2))

    formats = ("bfloat16", "bfloat16")
    assert compare(base + delta, base + delta + noise, base, formats=formats).is_parity
    assert not compare(base + delta, base + noise, base, formats=formats).is_parity
