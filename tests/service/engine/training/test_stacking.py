"""Any kind of tuning on any other: what is trained begins where the first ended, and is served as
plain transformers and peft compute it."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from service.core.engine_protocol import (
    ForwardDone,
    FullTuning,
    HeadSpec,
    HeadTuning,
    LoraTuning,
    PartialTuning,
    SaveStored,
    Tuning,
)
from service.core.errors import InvalidHyperparameter
from service.engine.export.parameters import changed_parameters
from service.engine.parts import DeltaWeights
from service.engine.scheduler import Engine
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.service.engine.generation.test_architectures import build
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_oracle import greedy, make_adapter, peft_model
from tests.service.engine.real_engine import as_base, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training.test_training import peft_losses
from tests.service.engine.training_session import Job

ROWS = make_rows((40, 17, 30))
PROMPT = [20, 30, 40, 50]
KINDS: dict[str, Tuning] = {
    "lora": LoraTuning(rank=4, alpha=32),
    "rslora": LoraTuning(rank=2, alpha=8, use_rslora=True, target_modules=("q_proj", "up_proj")),
    "dora": LoraTuning(rank=3, alpha=24, use_dora=True, target_modules=("v_proj", "down_proj")),
    "full": FullTuning(),
    "partial": PartialTuning(last_n_layers=1),
}


def plain(delta: DeltaWeights, folder: Path) -> nn.Module:
    """What transformers and peft make of a delta."""
    model = load_tiny_model()
    if delta.overlay is not None:
        model.load_state_dict(delta.overlay.tensors, strict=False)
    return model if delta.adapter is None else peft_model(model, delta.adapter, folder)


def merged(delta: DeltaWeights) -> PreTrainedModel:
    model = load_tiny_model()
    model.load_state_dict(dict(changed_parameters(as_base(load_tiny_model()), delta)), strict=False)
    return model


@torch.inference_mode()
def logits(model: nn.Module) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=torch.tensor([PROMPT]), use_cache=False).logits
    return found


def train(engine: Engine, sink: FakeAdapterSink, job: Job, steps: int = 3) -> DeltaWeights:
    for step in range(1, steps + 1):
        job.forward_backward(ROWS, step=step)
        job.optimize(step=step)
    key = job.save(steps)
    job.finish()
    engine.close_session(job.session)
    return replace(sink.deltas[key], id=key)


def losses(result: object) -> list[float]:
    assert isinstance(result, ForwardDone)
    return [row.loss for row in result.rows]


@pytest.mark.parametrize("first", KINDS)
def test_every_kind_goes_on_from_every_kind(first: str, tmp_path: Path) -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    deltas: dict[str, DeltaWeights] = {}
    connection_answers = {}
    with running_engine(sink=sink, source=source) as engine:
        start = train(engine, sink, Job(engine, "ftjob-first", tuning=KINDS[first]))
        ref = source.put(start)
        before = [x.item() for x in peft_losses(plain(start, tmp_path / "first"), ROWS)]
        for second, tuning in KINDS.items():
            job = Job(engine, f"ftjob-{second}", tuning=tuning, start_from=ref, prefix=f"p/{first}")
            job.forward(ROWS)
            deltas[second] = train(engine, sink, job)
            assert losses(job.results[0]) == pytest.approx(before, rel=1e-4)
        connection = Connection(engine)
        for index, (second, delta) in enumerate(deltas.items()):
            stored = source.put(delta, in_memory=index % 2 == 0)
            connection_answers[second] = connection.start(
                second, PROMPT, adapter=stored, max_tokens=12
            )
        connection_answers["base"] = connection.start("base", PROMPT, max_tokens=12)
        connection.wait_all()

    expected = {name: plain(delta, tmp_path / name) for name, delta in deltas.items()}
    expected["base"] = load_tiny_model()
    for name, answer in connection_answers.items():
        assert answer.tokens == greedy(expected[name], PROMPT, 12), name
    for name, delta in deltas.items():
        torch.testing.assert_close(
            logits(merged(delta)), logits(expected[name]), rtol=1e-4, atol=1e-3
        )


def test_an_adapter_of_the_same_shape_stays_small_and_another_is_put_beside_it() -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    stored = make_adapter("stored", load_tiny_model(), rank=4, alpha=8, size=0.05)
    ref = source.put(stored)
    ranks = {}
    with running_engine(sink=sink, source=source) as engine:
        for rank in (4, 6):
            job = Job(engine, f"ftjob-{rank}", tuning=LoraTuning(rank=rank), start_from=ref)
            delta = train(engine, sink, job, steps=1)
            assert delta.adapter is not None
            ranks[rank] = {pair.a.shape[0] for pair in delta.adapter.modules.values()}

    assert ranks == {4: {4}, 6: {10}}


def test_ranks_that_no_engine_would_serve_are_refused() -> None:
    source = FakeAdapterSource()
    ref = source.put(make_adapter("wide", load_tiny_model(), rank=1000, size=0.01))
    with running_engine(source=source) as engine, pytest.raises(InvalidHyperparameter) as caught:
        Job(engine, tuning=LoraTuning(rank=32), start_from=ref)

    assert "1024" in caught.value.message


@pytest.mark.parametrize("tuning", [KINDS["lora"], HeadTuning()], ids=["lora", "head"])
def test_what_lies_frozen_below_is_shared_and_not_written_again(tuning: Tuning) -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    head = HeadSpec(kind="reward") if isinstance(tuning, HeadTuning) else None
    with running_engine(sink=sink, source=source) as engine:
        start = train(engine, sink, Job(engine, "ftjob-full", tuning=FullTuning()), steps=1)
        ref = source.put(start)
        job = Job(engine, "ftjob-on-it", tuning=tuning, head=head, start_from=ref)
        key = job.save(0)
        saved = job.finish()[-1]

    assert isinstance(saved, SaveStored)
    shared = {file.name: file.key for file in saved.files if file.key is not None}
    assert shared == {"adapter/overlay.safetensors": f"{ref.key.rstrip('/')}/overlay.safetensors"}
    assert f"{key}adapter/overlay.safetensors" not in sink.files


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_what_the_job_began_with(kind: str) -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    with running_engine(sink=sink, source=source) as engine:
        start = train(engine, sink, Job(engine, "ftjob-first", tuning=KINDS[kind]), steps=2)
        job = Job(engine, "ftjob-second", tuning=KINDS[kind], start_from=source.put(start))
        job.forward(ROWS)
        for step in (1, 2):
            job.forward_backward(ROWS, step=step)
            job.optimize(step=step)
        job.forward(ROWS)
        job.forward(ROWS, at_start=True)
        results = job.finish()

    first, last, reference = (losses(results[i]) for i in (0, -2, -1))
    assert reference == pytest.approx(first, rel=1e-5)
    assert last != pytest.approx(first, rel=1e-3)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_adapters_of_every_kind_answer_in_one_batch_as_peft_does(
    architecture: str, tmp_path: Path
) -> None:
    model = build(architecture, {})
    if architecture == "qwen2":  # whose biases a DoRA leaves alone
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.5)
    adapters = [
        make_adapter("lora", model, rank=4),
        make_adapter("rslora", model, rank=2, use_rslora=True, targets=("q_proj",)),
        make_adapter("dora", model, rank=3, use_dora=True),
        make_adapter("dora-of-some", model, rank=2, use_dora=True, targets=("k_proj", "up_proj")),
    ]
    expected: list[tuple[list[int], list[float]]] = []
    for adapter in adapters:
        oracle = peft_model(copy.deepcopy(model), adapter, tmp_path / adapter.id)
        tokens = greedy(oracle, PROMPT, 12)
        with torch.inference_mode():
            logprobs = oracle(input_ids=torch.tensor([PROMPT + tokens])).logits[0].log_softmax(-1)
        own = logprobs[len(PROMPT) - 1 : -1].gather(1, torch.tensor(tokens)[:, None])
        expected.append((tokens, own[:, 0].tolist()))
    source = FakeAdapterSource()
    with running_engine(model=model, source=source) as engine:
        connection = Connection(engine)
        answers = [
            connection.start(
                f"{adapter.id}-{turn}",
                PROMPT,
                adapter=source.put(adapter),
                max_tokens=12,
                top_logprobs=0,
            )
            for turn in range(2)
            for adapter in adapters
        ]
        connection.wait_all()

    for answer, (tokens, logprobs) in zip(answers, expected * 2, strict=True):
        assert answer.tokens == tokens
        got = [entry.logprob for entry in answer.logprobs]
        assert got == pytest.approx(logprobs, abs=1e-4)


def test_a_full_model_is_a_folder_that_transformers_loads_alone(tmp_path: Path) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine, tuning=FullTuning())
        job.forward_backward(ROWS)
        job.optimize()
        key = job.save(1)
        job.finish()

    for name, content in sink.files.items():
        (tmp_path / name.removeprefix(f"{key}adapter/")).write_bytes(content)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    torch.testing.assert_close(logits(loaded), logits(plain(sink.deltas[key], tmp_path)))
    assert not torch.allclose(logits(loaded), logits(load_tiny_model()), atol=0.1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert prompt == "<|im_start|>user\nHi<|im_end|>\n"
