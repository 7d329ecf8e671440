"""Options of chat completions: each changes what the engine is asked, or what is answered."""

import json
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from service.api.refusals import REASONS
from service.core.engine_protocol import Sampling
from service.core.text import TextCodec
from tests.contract.test_chat import ASK, BASE, collect
from tests.fakes.engine import FakeEngine


@pytest.fixture
def base_says(engine: FakeEngine, text_codec: TextCodec) -> Iterator[None]:
    before = dict(engine.answers)
    engine.answers[BASE] = text_codec.encode("naïve 🙂.")
    yield
    engine.answers.clear()
    engine.answers.update(before)


pytestmark = pytest.mark.usefixtures("base_says")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def asked(sdk: openai.OpenAI, engine: FakeEngine, **options: Any) -> Sampling:
    """What the engine was asked for."""
    sdk.chat.completions.create(model=BASE, messages=ASK, **options)
    return engine.requests[-1].sampling


@pytest.mark.parametrize(
    ("options", "member", "value"),
    [
        ({"presence_penalty": 0.5}, "presence_penalty", 0.5),
        ({"frequency_penalty": -2}, "frequency_penalty", -2),
        ({"logit_bias": {"7": 1.5, "8": -100}}, "logit_bias", {7: 1.5, 8: -100}),
        ({"temperature": 0.3}, "temperature", 0.3),
        ({"top_p": 0.4}, "top_p", 0.4),
        ({"seed": 5}, "seed", 5),
        ({"max_completion_tokens": 3}, "max_tokens", 3),
        ({"logprobs": True}, "top_logprobs", 0),
        ({"logprobs": True, "top_logprobs": 4}, "top_logprobs", 4),
        ({"extra_body": {"top_k": 9}}, "top_k", 9),
        ({"extra_body": {"top_k": -1}}, "top_k", 0),
        ({"extra_body": {"min_p": 0.1}}, "min_p", 0.1),
        ({"extra_body": {"repetition_penalty": 1.2}}, "repetition_penalty", 1.2),
        ({"extra_body": {"min_tokens": 2}}, "min_tokens", 2),
    ],
)
def test_an_option_reaches_the_engine(
    sdk: openai.OpenAI, engine: FakeEngine, options: dict[str, Any], member: str, value: object
) -> None:
    plain = asked(sdk, engine)

    assert getattr(asked(sdk, engine, **options), member) == value
    if member not in ("top_k", "seed") or value:
        assert getattr(plain, member) != value or options == {"extra_body": {"top_k": -1}}


def test_a_bias_changes_the_answer(sdk: openai.OpenAI, text_codec: TextCodec) -> None:
    (token,) = text_codec.encode("x")

    answer = sdk.chat.completions.create(
        model=BASE, messages=ASK, max_tokens=3, logit_bias={str(token): 100}
    )

    assert answer.choices[0].message.content == "xxx"


def test_stop_tokens_and_ignored_ends_change_the_answer(
    sdk: openai.OpenAI, text_codec: TextCodec
) -> None:
    (token,) = text_codec.encode("v")
    stopped = sdk.chat.completions.create(
        model=BASE, messages=ASK, extra_body={"stop_token_ids": [token]}
    )
    endless = sdk.chat.completions.create(
        model=BASE, messages=ASK, max_tokens=24, extra_body={"ignore_eos": True}
    )

    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("naï", "stop")
    assert endless.choices[0].message.content == "naïve 🙂.naïve 🙂."
    assert endless.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_come_with_their_tokens(
    sdk: openai.OpenAI, text_codec: TextCodec, *, stream: bool
) -> None:
    options: Any = {"logprobs": True, "top_logprobs": 2}
    if stream:
        chunks = list(sdk.chat.completions.create(model=BASE, messages=ASK, stream=True, **options))
        scored = [c.logprobs for chunk in chunks for c in chunk.choices if c.logprobs]
        entries = [entry for logprobs in scored for entry in logprobs.content or ()]
        assert collect(chunks) == ("naïve 🙂.", "stop")
    else:
        answer = sdk.chat.completions.create(model=BASE, messages=ASK, **options)
        assert answer.choices[0].logprobs is not None
        entries = list(answer.choices[0].logprobs.content or ())

    whole = b"".join(bytes(entry.bytes or ()) for entry in entries)
    assert whole.decode() == "naïve 🙂."
    assert [entry.logprob for entry in entries] == [-1.0 - at for at in range(len(entries))]
    assert len(entries) == len(text_codec.encode("naïve 🙂."))
    assert (entries[0].token, entries[2].token) == ("n", "�")
    assert all(len(entry.top_logprobs) == 2 for entry in entries)
    assert entries[0].top_logprobs[0].logprob == -1


def test_a_stop_string_takes_the_log_probabilities_of_what_it_cuts(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model=BASE, messages=ASK, logprobs=True, stop="ve 🙂")

    assert answer.choices[0].message.content == "naï"
    assert answer.choices[0].logprobs is not None
    entries = answer.choices[0].logprobs.content or []
    assert b"".join(bytes(entry.bytes or ()) for entry in entries).decode() == "naï"


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ({"response_format": {"type": "json_object"}}, {"type": "object"}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": SCHEMA, "strict": True},
                }
            },
            SCHEMA,
        ),
        ({"extra_body": {"guided_json": SCHEMA}}, SCHEMA),
        ({"extra_body": {"guided_json": json.dumps(SCHEMA)}}, SCHEMA),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_a_format_reaches_the_engine_as_a_schema(
    sdk: openai.OpenAI, engine: FakeEngine, options: dict[str, Any], schema: object
) -> None:
    guide = asked(sdk, engine, **options).guide

    assert (None if guide is None else json.loads(guide.json_schema)) == schema


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_schema_is_refused_before_a_stream_begins(
    sdk: openai.OpenAI, *, stream: bool
) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "odd"}}}

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model=BASE, messages=ASK, response_format=form, stream=stream)

    assert (caught.value.code, caught.value.param) == ("invalid_value", "response_format")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "invalid_value", "top_logprobs"),
        ({"logit_bias": {"a": 1}}, "invalid_value", "logit_bias.a"),
        ({"logit_bias": {"1": 101}}, "invalid_value", "logit_bias.1"),
        ({"presence_penalty": 2.5}, "invalid_value", "presence_penalty"),
        ({"min_tokens": 9, "max_tokens": 3}, "invalid_value", "min_tokens"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        ({"response_format": {}}, "missing_required_parameter", "response_format.type"),
        (
            {"guided_json": SCHEMA, "response_format": {"type": "json_object"}},
            "invalid_value",
            "guided_json",
        ),
        ({"guided_json": SCHEMA, "ignore_eos": True}, "invalid_value", "ignore_eos"),
        ({"audio": {"voice": "a"}}, "unsupported_parameter", "audio"),
        ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
        ({"prediction": {"type": "content"}}, "unsupported_parameter", "prediction"),
        ({"reasoning_effort": "low"}, "unsupported_parameter", "reasoning_effort"),
        ({"service_tier": "flex"}, "unsupported_parameter", "service_tier"),
        ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
        ({"functions": [{"name": "f"}]}, "unsupported_parameter", "functions"),
        ({"function_call": {"name": "f"}}, "invalid_value", "tool_choice"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "unsupported_parameter",
            "messages.0.content.0.type",
        ),
        ({"tools": [{"type": "custom"}]}, "unsupported_parameter", "tools.0.type"),
    ],
)
def test_what_is_refused_is_refused_by_its_name(
    sdk: openai.OpenAI, changes: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model=BASE, messages=ASK, extra_body=changes)

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("param", sorted(REASONS))
def test_every_refusal_of_the_list_is_one_and_gives_its_reason(
    sdk: openai.OpenAI, param: str
) -> None:
    ask: Any = {"prompt": "x"} if param == "suffix" else {"messages": ASK}
    create: Any = sdk.completions.create if param == "suffix" else sdk.chat.completions.create

    with pytest.raises(openai.BadRequestError, match=re.escape(REASONS[param])) as caught:
        create(model=BASE, **ask, extra_body={param: "x"})

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)
