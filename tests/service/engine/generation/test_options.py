"""Every option of a stream changes what it answers, against a model computed by hand."""

import json
import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from service.core.engine_protocol import Guide
from tests.service.engine.generation.test_streams import prompt_of
from tests.service.engine.generation_calls import Answer, Connection
from tests.service.engine.peft_oracle import greedy
from tests.service.engine.real_engine import (
    LIMITS,
    load_tiny_model,
    running_engine,
    tiny_text,
)

MODEL = load_tiny_model()
PROMPT = prompt_of(12, 4)
GREEDY = greedy(MODEL, PROMPT, 24)


def answer(prompt: list[int] = PROMPT, **options: Any) -> Answer:
    """One stream, beside another that asks for nothing and must not change."""
    with running_engine() as engine:
        connection = Connection(engine)
        plain = connection.start("plain", PROMPT, max_tokens=24)
        asked = connection.start("asked", prompt, **{"max_tokens": 24, **options})
        connection.wait_all()
    assert plain.tokens == GREEDY
    return asked


@torch.inference_mode()
def next_logits(tokens: list[int]) -> torch.Tensor:
    logits: torch.Tensor = MODEL(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1]
    return logits


@torch.inference_mode()
def by_hand(presence: float = 0, frequency: float = 0, repetition: float = 1) -> list[int]:
    """The greedy answer under penalties."""
    drawn: list[int] = []
    for _ in range(24):
        logits = next_logits([*PROMPT, *drawn])
        for token in {*PROMPT, *drawn}:
            value = logits[token]
            logits[token] = value / repetition if value > 0 else value * repetition
        for token in set(drawn):
            logits[token] -= presence + frequency * drawn.count(token)
        drawn.append(int(logits.argmax()))
    return drawn


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("presence_penalty", 1.5, lambda: by_hand(presence=1.5)),
        ("frequency_penalty", 1.0, lambda: by_hand(frequency=1.0)),
        ("repetition_penalty", 1.4, lambda: by_hand(repetition=1.4)),
    ],
)
def test_a_penalty_gives_what_it_gives_by_hand(option: str, value: float, expected: Any) -> None:
    penalised = answer(**{option: value}).tokens

    assert penalised == expected()
    assert penalised != GREEDY


def test_a_bias_bans_and_forces_tokens() -> None:
    assert GREEDY[0] not in answer(logit_bias={GREEDY[0]: -100}).tokens
    assert answer(logit_bias={77: 100}).tokens == [77] * 24


def test_a_bias_on_an_unknown_token_is_refused() -> None:
    refused = answer(logit_bias={100_000: 1})

    assert refused.error_code == "invalid_value"
    assert refused.finished is not None
    assert refused.finished.error is not None
    assert refused.finished.error.param == "logit_bias"


def test_top_k_of_one_and_min_p_of_one_leave_the_likeliest() -> None:
    hot = answer(temperature=1.5, seed=3).tokens

    assert hot != GREEDY
    assert answer(temperature=1.5, seed=3, top_k=1).tokens == GREEDY
    assert answer(temperature=1.5, seed=3, min_p=1).tokens == GREEDY


def test_no_stop_token_is_drawn_before_the_least_number() -> None:
    stop = GREEDY[4]
    early, late = answer(stop=(stop,)), answer(stop=(stop,), min_tokens=10)

    assert early.tokens == GREEDY[: GREEDY.index(stop)]
    assert len(late.tokens) >= 10
    assert stop not in late.tokens


def test_an_answer_of_no_tokens_ends_at_once() -> None:
    ended = answer(max_tokens=0)

    assert ended.tokens == []
    assert ended.finished is not None
    assert ended.finished.reason == "length"


@pytest.mark.parametrize("top", [0, 3, 20])
def test_log_probabilities_are_the_model_s_own(top: int) -> None:
    reported = answer(max_tokens=6, top_logprobs=top, presence_penalty=2, temperature=1.3, seed=5)

    assert len(reported.logprobs) == len(reported.tokens) == 6
    for position, (token, entry) in enumerate(zip(reported.tokens, reported.logprobs, strict=True)):
        own = torch.log_softmax(next_logits([*PROMPT, *reported.tokens[:position]]), 0)
        assert entry.logprob == pytest.approx(float(own[token]), abs=1e-4)
        values, ids = own.topk(top)
        assert [id for id, _ in entry.top] == ids.tolist()
        assert [value for _, value in entry.top] == pytest.approx(values.tolist(), abs=1e-4)


@pytest.mark.parametrize("length", [1, 2, 64, 65, 150])
def test_log_probabilities_of_a_prompt_come_once_for_each_token_but_the_first(length: int) -> None:
    prompt = prompt_of(length, 9)

    scored = answer(prompt, max_tokens=1, top_logprobs=1, prompt_logprobs=True)

    with torch.inference_mode():
        own = torch.log_softmax(MODEL(input_ids=torch.tensor([prompt])).logits[0], -1)
    expected = [float(own[at - 1, token]) for at, token in enumerate(prompt) if at]
    assert [e.logprob for e in scored.prompt_logprobs] == pytest.approx(expected, abs=1e-4)
    assert [e.top[0][0] for e in scored.prompt_logprobs] == own.argmax(-1)[:-1].tolist()


def test_a_stream_that_gives_way_reports_and_repeats_nothing_twice() -> None:
    limits = LIMITS.__class__(kv_cache_tokens=160, kv_block_tokens=8, prefill_chunk_tokens=32)
    prompts = [prompt_of(30, seed) for seed in range(6)]
    options: dict[str, Any] = {"max_tokens": 40, "top_logprobs": 1, "prompt_logprobs": True}
    with running_engine(limits=limits) as engine:
        connection = Connection(engine)
        for index, prompt in enumerate(prompts):
            connection.start(str(index), prompt, presence_penalty=0.5, **options)
        crowded = connection.wait_all()
    with running_engine() as engine:
        connection = Connection(engine)
        for index, prompt in enumerate(prompts):
            connection.start(str(index), prompt, presence_penalty=0.5, **options)
        roomy = connection.wait_all()

    for one, other in zip(crowded, roomy, strict=True):
        assert one.tokens == other.tokens
        assert len(one.prompt_logprobs) == 29
        assert len(one.logprobs) == 40


def text_of(tokens: list[int]) -> str:
    return str(Tokenizer.from_str(tiny_text().tokenizer_json).decode(tokens))


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 6},
        "degrees": {"type": "integer", "minimum": -50, "maximum": 50},
        "sky": {"enum": ["clear", "grey"]},
    },
    "required": ["city", "degrees", "sky"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(4))
def test_random_weights_keep_to_a_schema(seed: int) -> None:
    guide = Guide(json_schema=json.dumps(SCHEMA), before="say: ", after=" end")

    guided = answer(max_tokens=300, temperature=1.5, seed=seed, guide=guide)

    assert guided.finished is not None
    assert guided.finished.reason == "stop"
    text = text_of(guided.tokens)
    assert text.startswith("say: ")
    assert text.endswith(" end")
    value = json.loads(text[5:-4])
    assert set(value) == {"city", "degrees", "sky"}
    assert isinstance(value["city"], str)
    assert len(value["city"]) <= 6
    assert -50 <= value["degrees"] <= 50
    assert value["sky"] in ("clear", "grey")


def test_a_guide_may_begin_with_a_control_token() -> None:
    guide = Guide(json_schema=json.dumps({"const": 5}), opening_token=1)

    assert answer(max_tokens=50, guide=guide).tokens[0] == 1


@pytest.mark.parametrize(
    "schema", ['{"type": "nonsense"}', "[]", "{", '{"type": "array", "uniqueItems": true}']
)
def test_a_schema_that_cannot_be_kept_to_is_refused_before_the_first_token(schema: str) -> None:
    refused = answer(guide=Guide(json_schema=schema, param="tools"))

    assert refused.tokens == []
    assert refused.finished is not None
    assert refused.finished.error is not None
    assert (refused.error_code, refused.finished.error.param) == ("invalid_value", "tools")


def test_a_guided_draw_is_as_likely_as_the_model_says() -> None:
    """Masked, not re-weighted: two values share their mass as they did without the mask."""
    guide = Guide(json_schema=json.dumps({"enum": [1, 2]}))
    with running_engine() as engine:
        connection = Connection(engine)
        for seed in range(200):
            connection.start(str(seed), PROMPT, temperature=1, seed=seed, guide=guide)
        drawn = [text_of(given.tokens).strip() for given in connection.wait_all()]
    tokens = [Tokenizer.from_str(tiny_text().tokenizer_json).encode(d).ids[0] for d in "12"]
    one, two = (math.exp(float(next_logits(PROMPT)[token])) for token in tokens)

    assert set(drawn) == {"1", "2"}
    assert drawn.count("1") / 200 == pytest.approx(one / (one + two), abs=0.1)
