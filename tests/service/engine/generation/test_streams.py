"""Serving: every stream computes what peft computes with the same weights, whatever runs beside."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from service.core.errors import EngineOverloaded, StorageUnavailable
from service.engine.parts import AdapterWeights, EngineLimits, LoraPair
from tests.fakes.adapters import FakeAdapterSource
from tests.polling import poll_until
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_adapters import greedy, make_adapter, peft_model
from tests.service.engine.real_engine import LIMITS, load_tiny_model, running_engine

MODEL = load_tiny_model()
ADAPTERS = [
    make_adapter("small", MODEL, rank=2, alpha=4),
    make_adapter("large", MODEL, rank=16, alpha=32, use_rslora=True, size=0.1),
    make_adapter("queries", MODEL, rank=4, targets=("q_proj",)),
    make_adapter("mlp", MODEL, rank=8, targets=("up_proj", "down_proj")),
]


def prompt_of(length: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    return [draw.randrange(3, 200) for _ in range(length)]


def expected(
    weights: AdapterWeights | None, prompt: list[int], count: int, folder: Path
) -> list[int]:
    if weights is None:
        return greedy(load_tiny_model(), prompt, count)
    return greedy(peft_model(load_tiny_model(), weights, folder / weights.id), prompt, count)


@pytest.mark.parametrize("adapters", [1, 2, 4])
def test_a_mixed_batch_gives_what_peft_gives(adapters: int, tmp_path: Path) -> None:
    source = FakeAdapterSource()
    models: list[AdapterWeights | None] = [None, *ADAPTERS[:adapters]]
    refs = [None if weights is None else source.put(weights) for weights in models]
    with running_engine(source=source) as engine:
        connection = Connection(engine)
        streams = []
        for index in range(2 * len(models) + 1):  # an uneven number of streams an adapter
            which = index % len(models)
            prompt = prompt_of(3 + 11 * index, index)
            answer = connection.start(
                str(index), prompt, adapter=refs[which], max_tokens=6 + index % 3
            )
            streams.append((models[which], prompt, answer))
        connection.wait_all()

    for weights, prompt, answer in streams:
        assert answer.tokens == expected(weights, prompt, len(answer.tokens), tmp_path)
        assert answer.finished is not None
        assert answer.finished.reason == "length"


@pytest.mark.parametrize("chunk", [1, 7, 16, 512])
def test_the_size_of_prompt_chunks_changes_nothing(chunk: int) -> None:
    prompts = [prompt_of(length, length) for length in (1, 15, 16, 17, 60)]
    with running_engine(limits=replace(LIMITS, prefill_chunk_tokens=chunk)) as engine:
        connection = Connection(engine)
        for index, prompt in enumerate(prompts):
            connection.start(str(index), prompt, max_tokens=5)
        answers = connection.wait_all()

    assert [a.tokens for a in answers] == [greedy(MODEL, p, 5) for p in prompts]


def test_streams_that_give_way_answer_as_if_they_had_not() -> None:
    prompts = [prompt_of(30, seed) for seed in range(6)]
    limits = replace(LIMITS, kv_cache_tokens=160, kv_block_tokens=8, prefill_chunk_tokens=32)
    with running_engine(limits=limits) as engine:
        connection = Connection(engine)
        for index, prompt in enumerate(prompts):
            connection.start(str(index), prompt, max_tokens=40)
        answers = connection.wait_all()

    assert [a.tokens for a in answers] == [greedy(MODEL, p, 40) for p in prompts]


def test_a_seeded_draw_repeats_whatever_runs_beside_it() -> None:
    prompt = prompt_of(20, 1)
    with running_engine() as engine:
        alone = Connection(engine)
        alone.start("a", prompt, max_tokens=20, temperature=1.2, top_p=0.9, seed=5)
        (first,) = alone.wait_all()
        crowd = Connection(engine)
        for seed in (5, 6, 5):
            name = str(len(crowd.answers))
            crowd.start(name, prompt, max_tokens=20, temperature=1.2, top_p=0.9, seed=seed)
        same, other, again = crowd.wait_all()

    assert first.tokens == same.tokens == again.tokens
    assert other.tokens != first.tokens


def broken_adapter(factor: str) -> AdapterWeights:
    """One whose A or B is NaN in one layer."""
    weights = make_adapter(f"broken-{factor}", MODEL)
    name = "model.layers.0.self_attn.v_proj"
    pair = weights.modules[name]
    nan = torch.full_like(pair.a if factor == "a" else pair.b, float("nan"))
    broken = LoraPair(nan, pair.b) if factor == "a" else LoraPair(pair.a, nan)
    return replace(weights, modules={**weights.modules, name: broken})


def test_a_nan_in_one_adapter_stays_with_its_own_streams(tmp_path: Path) -> None:
    source = FakeAdapterSource()
    models = [None, *ADAPTERS[:3]]
    refs = [None if weights is None else source.put(weights) for weights in models]
    broken = [source.put(broken_adapter(factor)) for factor in ("a", "b")]
    prompts = [prompt_of(9, seed) for seed in range(4)]
    with running_engine(source=source) as engine:
        for _ in range(2):  # the second turn takes over blocks that the first has left
            connection = Connection(engine)
            for index, ref in enumerate(broken):
                connection.start(f"broken-{index}", prompts[0], adapter=ref)
            for index, (prompt, own) in enumerate(zip(prompts, refs, strict=True)):
                connection.start(str(index), prompt, adapter=own)
            answers = connection.wait_all()
            assert [a.error_code for a in answers[:2]] == ["adapter_corrupt"] * 2
            for weights, prompt, answer in zip(models, prompts, answers[2:], strict=True):
                assert answer.tokens == expected(weights, prompt, 8, tmp_path)


def test_a_stop_token_ends_the_answer_and_is_not_part_of_it() -> None:
    prompt = prompt_of(8, 3)
    tokens = greedy(MODEL, prompt, 12)
    stop = tokens[5]
    with running_engine() as engine:
        connection = Connection(engine)
        answer = connection.wait(connection.start("a", prompt, max_tokens=12, stop=(stop,)))

    assert answer.tokens == tokens[: tokens.index(stop)]
    assert answer.finished is not None
    assert answer.finished.reason == "stop"


def test_a_cold_adapter_holds_up_nobody(tmp_path: Path) -> None:
    source = FakeAdapterSource()
    cold = source.put(ADAPTERS[0], in_memory=False)
    source.hold()
    prompt = prompt_of(10, 2)
    with running_engine(source=source) as engine:
        connection = Connection(engine)
        waiting = connection.start("cold", prompt, adapter=cold)
        connection.wait(connection.start("base", prompt))
        assert waiting.tokens == []
        assert source.pins["small"] == 1
        source.release()
        connection.wait(waiting)

    assert waiting.tokens == expected(ADAPTERS[0], prompt, 8, tmp_path)
    assert source.pins["small"] == 0


def test_an_adapter_that_does_not_come_ends_its_own_stream() -> None:
    source = FakeAdapterSource()
    lost = source.put(ADAPTERS[0], in_memory=False)
    source.failures["small"] = StorageUnavailable("the object store does not answer")
    with running_engine(source=source) as engine:
        connection = Connection(engine)
        failed, fine = connection.start("a", [5], adapter=lost), connection.start("b", [5])
        connection.wait_all()

    assert failed.error_code == "storage_unavailable"
    assert failed.tokens == []
    assert fine.error_code is None
    assert source.pins["small"] == 0


@pytest.mark.parametrize("fault", ["unknown module", "other size"])
def test_an_adapter_of_another_base_is_refused(fault: str) -> None:
    weights = make_adapter("foreign", MODEL, targets=("q_proj",))
    name, pair = next(iter(weights.modules.items()))
    modules = {"model.layers.9.self_attn.q_proj": pair}
    if fault == "other size":
        modules = {name: LoraPair(pair.a[:, :-1], pair.b)}
    source = FakeAdapterSource()
    ref = source.put(replace(weights, modules=modules))
    with running_engine(source=source) as engine:
        connection = Connection(engine)
        answer = connection.wait(connection.start("a", [5, 6], adapter=ref))

    assert answer.error_code == "invalid_value"
    assert answer.tokens == []


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "code"),
    [
        ([5] * 1000, 25, "context_length_exceeded"),
        ([5] * 20, 30, None),
        ([5, 10_000], 3, "invalid_value"),
    ],
)
def test_a_request_that_cannot_be_computed_is_refused_at_once(
    prompt: list[int], max_tokens: int, code: str | None
) -> None:
    with running_engine() as engine:
        connection = Connection(engine)
        answer = connection.wait(connection.start("a", prompt, max_tokens=max_tokens))

    assert answer.error_code == code


def test_what_exceeds_the_whole_cache_is_refused() -> None:
    with running_engine(limits=replace(LIMITS, kv_cache_tokens=64)) as engine:
        connection = Connection(engine)
        refused = connection.wait(connection.start("a", [5] * 60, max_tokens=5))
        fits = connection.wait(connection.start("b", [5] * 60, max_tokens=4))

    assert refused.error_code == "context_length_exceeded"
    assert len(fits.tokens) == 4


def test_the_waiting_line_is_bounded() -> None:
    source = FakeAdapterSource()
    cold = source.put(ADAPTERS[0], in_memory=False)
    source.hold()
    with running_engine(source=source, limits=replace(LIMITS, max_waiting=2)) as engine:
        connection = Connection(engine)
        connection.start("a", [5], adapter=cold)
        connection.start("b", [5], adapter=cold)
        with pytest.raises(EngineOverloaded):
            connection.start("c", [5])
        del connection.answers["c"]
        source.release()
        connection.wait_all()


def test_an_aborted_stream_ends_and_frees_its_place() -> None:
    limits = EngineLimits(max_streams=1, kv_cache_tokens=1024)
    with running_engine(limits=limits) as engine:
        connection = Connection(engine)
        running = connection.start("a", [5], max_tokens=1000)
        waiting = connection.start("b", [5], max_tokens=1000)
        third = connection.start("c", [5], max_tokens=2)
        poll_until(lambda: bool(running.tokens), "the first stream runs")
        connection.abort("b")
        connection.abort("a")
        connection.abort("unknown")
        connection.wait_all()
        poll_until(lambda: engine.state().active_streams == 0, "no stream is left")

    assert [a.finished and a.finished.reason for a in (running, waiting, third)] == [
        "abort",
        "abort",
        "length",
    ]
    assert waiting.tokens == []


def test_a_step_sends_one_frame_to_a_connection() -> None:
    with running_engine() as engine:
        connection = Connection(engine)
        for index in range(8):
            connection.start(str(index), prompt_of(4, index), max_tokens=30)
        connection.wait_all()

    assert max(len(frame.tokens) for frame in connection.frames) == 8
    assert len(connection.frames) < 8 * 30 / 2
