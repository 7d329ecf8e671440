"""Completions, through the official SDK, from a fake engine over the wire."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine

BASE = FAKE_BASE.name
ANSWER = " goes on."


@pytest.fixture(autouse=True)
def base_says(engine: FakeEngine, text_codec: TextCodec) -> Iterator[None]:
    before = dict(engine.answers)
    engine.answers[BASE] = text_codec.encode(ANSWER)
    yield
    engine.answers.clear()
    engine.answers.update(before)


def test_a_text_goes_on(sdk: openai.OpenAI, engine: FakeEngine, text_codec: TextCodec) -> None:
    answer = sdk.completions.create(model=BASE, prompt="It")

    assert (answer.object, answer.model) == ("text_completion", BASE)
    assert answer.id.startswith("cmpl-")
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == (ANSWER, "stop", None)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, len(ANSWER))
    assert engine.requests[-1].tokens == tuple(text_codec.encode("It"))
    assert engine.requests[-1].sampling.max_tokens == 16


def test_prompts_may_be_tokens_and_several(
    sdk: openai.OpenAI, engine: FakeEngine, text_codec: TextCodec
) -> None:
    one, two = text_codec.encode("It"), text_codec.encode("She")
    for prompt in (one, ["It", "She"], [one, two]):
        engine.requests.clear()
        answer = sdk.completions.create(model=BASE, prompt=prompt, n=2, echo=True)
        expected = ["It", "It"] if prompt is one else ["It", "It", "She", "She"]

        assert [choice.text for choice in answer.choices] == [f"{e}{ANSWER}" for e in expected]
        assert [choice.index for choice in answer.choices] == list(range(len(expected)))
        assert sorted(r.tokens for r in engine.requests) == sorted(
            tuple(text_codec.encode(e)) for e in expected
        )


def test_control_tokens_in_a_text_are_letters_and_as_tokens_are_themselves(
    sdk: openai.OpenAI, engine: FakeEngine, text_codec: TextCodec
) -> None:
    sdk.completions.create(model=BASE, prompt="<|im_end|>")
    as_text = engine.requests[-1].tokens
    sdk.completions.create(model=BASE, prompt=text_codec.encode("<|im_end|>"))

    assert len(as_text) == len("<|im_end|>")
    assert len(engine.requests[-1].tokens) == 1


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("logprobs", [None, 0, 2])
def test_a_stream_adds_up_to_the_whole_answer(
    sdk: openai.OpenAI, *, echo: bool, logprobs: int | None
) -> None:
    options: Any = {"model": BASE, "prompt": "It", "echo": echo}
    if logprobs is not None:
        options["logprobs"] = logprobs
    whole = sdk.completions.create(**options)
    pieces = list(
        sdk.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )

    (choice,) = whole.choices
    grown = [piece.choices[0] for piece in pieces[:-1]]
    assert "".join(piece.text for piece in grown) == choice.text == "It" * echo + ANSWER
    assert grown[-1].finish_reason == choice.finish_reason == "stop"
    assert pieces[-1].usage == whole.usage
    if choice.logprobs is not None:
        scored = [piece.logprobs for piece in grown if piece.logprobs]
        for member in ("tokens", "token_logprobs", "text_offset"):
            parts = [entry for part in scored for entry in getattr(part, member) or ()]
            assert parts == getattr(choice.logprobs, member)


def test_log_probabilities_have_the_old_form(sdk: openai.OpenAI) -> None:
    (choice,) = sdk.completions.create(model=BASE, prompt="It", echo=True, logprobs=2).choices

    assert choice.logprobs is not None
    assert choice.logprobs.tokens == list(f"It{ANSWER}")
    assert choice.logprobs.text_offset == list(range(2 + len(ANSWER)))
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[:4] == [None, -2.0, -1.0, -2.0]
    assert choice.logprobs.top_logprobs is not None
    assert choice.logprobs.top_logprobs[0] is None
    assert choice.logprobs.top_logprobs[1] == {"t": -2.0}
    assert choice.logprobs.top_logprobs[3] is not None
    assert choice.logprobs.top_logprobs[3]["g"] == -2.0
    assert len(choice.logprobs.top_logprobs[3]) == 2


def test_a_prompt_can_be_scored_alone(sdk: openai.OpenAI) -> None:
    (choice,) = sdk.completions.create(
        model=BASE, prompt="It is", echo=True, logprobs=0, max_tokens=0
    ).choices

    assert (choice.text, choice.finish_reason) == ("It is", "length")
    assert choice.logprobs is not None
    assert choice.logprobs.tokens == list("It is")
    assert choice.logprobs.top_logprobs is None


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [("stop", "on", " goes "), ("max_tokens", 3, " go")],
)
def test_an_option_changes_the_answer(
    sdk: openai.OpenAI, option: str, value: object, text: str
) -> None:
    answer = sdk.completions.create(model=BASE, prompt="It", extra_body={option: value})

    assert answer.choices[0].text == text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("seed", 4),
        ("presence_penalty", 1),
        ("frequency_penalty", 1),
        ("logit_bias", {"5": 1}),
        ("top_k", 3),
        ("min_p", 0.5),
        ("repetition_penalty", 1.5),
        ("ignore_eos", True),
        ("stop_token_ids", [9]),
        ("min_tokens", 2),
        ("guided_json", {"type": "object"}),
    ],
)
def test_an_option_reaches_the_engine(
    sdk: openai.OpenAI, engine: FakeEngine, option: str, value: object
) -> None:
    fixed = {} if option == "seed" else {"seed": 1}
    sdk.completions.create(model=BASE, prompt="It", extra_body=fixed)
    plain = engine.requests[-1].sampling
    sdk.completions.create(model=BASE, prompt="It", extra_body={**fixed, option: value})

    assert engine.requests[-1].sampling != plain


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"suffix": "end"}, "unsupported_parameter", "suffix"),
        ({"best_of": 3}, "unsupported_parameter", "best_of"),
        ({"n": 3, "best_of": 2}, "invalid_value", "best_of"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 9000}, "context_length_exceeded", "prompt"),
        ({"logprobs": 21}, "invalid_value", "logprobs"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt.0"),
        ({"prompt": [[]]}, "invalid_value", "prompt.0"),
        ({"prompt": ["a"] * 33}, "invalid_value", "prompt"),
        ({"messages": []}, "unsupported_parameter", "messages"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(
    sdk: openai.OpenAI, changes: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.completions.create(model=BASE, prompt="It", extra_body=changes)

    assert caught.value.code == code
    assert (caught.value.param or "").startswith(param.removesuffix(".0"))


def test_what_asks_for_nothing_is_taken(sdk: openai.OpenAI) -> None:
    answer = sdk.completions.create(model=BASE, prompt="It", suffix="", best_of=1, user="someone")

    assert answer.choices[0].text == ANSWER
