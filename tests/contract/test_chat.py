"""Chat completions, through the official SDK, from a fake engine over the wire."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from service.api.chat.requests import CreateChatCompletion
from service.core.errors import AdapterCorrupt, EngineOverloaded
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

BASE = FAKE_BASE.name
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who are you?"}]


@pytest.fixture
def base_says(engine: FakeEngine, text_codec: TextCodec) -> Iterator[None]:
    before = dict(engine.answers)
    engine.answers[BASE] = text_codec.encode("I am the base, naïve 🙂.")
    yield
    engine.answers.clear()
    engine.answers.update(before)  # other tests of the run hear the same engine
    engine.failures.clear()


def collect(chunks: Sequence[ChatCompletionChunk], index: int = 0) -> tuple[str, str | None]:
    """Text and finish reason of one choice."""
    mine = [c for chunk in chunks for c in chunk.choices if c.index == index]
    return "".join(c.delta.content or "" for c in mine), mine[-1].finish_reason


@pytest.mark.usefixtures("base_says")
def test_a_base_answers(sdk: openai.OpenAI, text_codec: TextCodec) -> None:
    answer = sdk.chat.completions.create(model=BASE, messages=ASK)

    assert (answer.object, answer.model) == ("chat.completion", BASE)
    assert answer.id.startswith("chatcmpl-")
    (choice,) = answer.choices
    assert choice.message.content == "I am the base, naïve 🙂."
    assert (choice.message.role, choice.finish_reason, choice.logprobs) == (
        "assistant",
        "stop",
        None,
    )
    assert answer.system_fingerprint == f"fp_{'f' * 12}"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(text_codec.encode_chat_prompt(ASK))
    assert answer.usage.completion_tokens == len(text_codec.encode("I am the base, naïve 🙂."))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.usefixtures("base_says")
def test_a_stream_adds_up_to_the_whole_answer(sdk: openai.OpenAI) -> None:
    chunks = list(sdk.chat.completions.create(model=BASE, messages=ASK, stream=True))

    assert collect(chunks) == ("I am the base, naïve 🙂.", "stop")
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None and chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert [c.finish_reason for chunk in chunks[:-1] for c in chunk.choices] == [None] * (
        len(chunks) - 1
    )


@pytest.mark.usefixtures("base_says")
def test_usage_comes_in_a_last_chunk_of_its_own(sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model=BASE,
            messages=ASK,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    whole = sdk.chat.completions.create(model=BASE, messages=ASK)

    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.usefixtures("base_says")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", ["base", ["🙂", ", na"], ["nowhere", "base"]])
def test_the_answer_ends_before_a_stop_string(
    sdk: openai.OpenAI, stop: str, *, stream: bool
) -> None:
    expected = "I am the base" if stop[0] == "🙂" else "I am the "
    if stream:
        chunks = list(
            sdk.chat.completions.create(
                model=BASE,
                messages=ASK,
                stop=stop,
                stream=True,
            )
        )
        text, reason = collect(chunks)
    else:
        answer = sdk.chat.completions.create(model=BASE, messages=ASK, stop=stop)
        text, reason = answer.choices[0].message.content or "", answer.choices[0].finish_reason

    assert (text, reason) == (expected, "stop")


@pytest.mark.usefixtures("base_says")
def test_the_answer_ends_at_its_limit(sdk: openai.OpenAI) -> None:
    for answer in (
        sdk.chat.completions.create(model=BASE, messages=ASK, max_tokens=4),
        sdk.chat.completions.create(model=BASE, messages=ASK, max_completion_tokens=4),
    ):
        assert answer.choices[0].message.content == "I am"
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 4


@pytest.mark.usefixtures("base_says")
def test_several_choices_come_under_their_index(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model=BASE, messages=ASK, n=3)
    chunks = list(sdk.chat.completions.create(model=BASE, messages=ASK, n=3, stream=True))

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"I am the base, naïve 🙂."}
    for index in range(3):
        assert collect(chunks, index) == ("I am the base, naïve 🙂.", "stop")


def test_a_tuned_model_and_its_checkpoint_answer_by_their_names(
    api: RunningApi, tenant: Tenant, sdk: openai.OpenAI, engine: FakeEngine, text_codec: TextCodec
) -> None:
    name = f"ft:{BASE}:{tenant.principal.scope.organization}:desk:abcdefgh"
    api.publish_model(tenant, name, "d" * 64)
    engine.answers["d" * 64] = text_codec.encode("I am tuned.")

    for model in (name, f"{name}:ckpt-step-3"):
        answer = sdk.chat.completions.create(model=model, messages=ASK)

        assert answer.choices[0].message.content == "I am tuned."
        assert answer.model == model
        assert answer.system_fingerprint == f"fp_{'f' * 12}_{'d' * 12}"


@pytest.mark.usefixtures("base_says")
def test_parts_and_messages_sent_back_as_received_are_taken(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model=BASE, messages=ASK)
    history: list[Any] = [
        {
            "role": "system",
            "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
        },
        *ASK,
        answer.choices[0].message.model_dump(),
        {"role": "user", "content": "And?", "name": "ann"},
    ]

    again = sdk.chat.completions.create(
        model=BASE,
        messages=history,
        tools=[],
        presence_penalty=0,
        response_format={"type": "text"},
        logprobs=False,
        user="someone",
        prompt_cache_key="conversation-1",
    )

    assert again.choices[0].finish_reason == "stop"


def test_the_same_seed_goes_to_the_engine_and_choices_differ(text_codec: TextCodec) -> None:
    request = CreateChatCompletion.model_validate(
        {"model": BASE, "messages": ASK, "seed": -3, "n": 3, "top_p": 0, "temperature": 0}
    )
    samplings = request.to_samplings(max_tokens=5, stop_token_ids=text_codec.stop_token_ids)

    assert [s.seed for s in samplings] == [2**63 - 3, 2**63 - 2, 2**63 - 1]
    assert {(s.temperature, s.max_tokens) for s in samplings} == {(0.0, 5)}
    assert all(s.top_p > 0 for s in samplings)


@pytest.mark.usefixtures("base_says")
@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_that_fails_before_its_first_token_has_a_proper_status(
    sdk: openai.OpenAI, engine: FakeEngine, *, stream: bool
) -> None:
    engine.failures[BASE] = AdapterCorrupt("Stored bytes do not match their digest.")

    with pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(model=BASE, messages=ASK, stream=stream)

    assert (caught.value.status_code, caught.value.code) == (503, "adapter_corrupt")
    assert caught.value.request_id is not None


@pytest.mark.usefixtures("base_says")
def test_a_full_waiting_line_is_a_429(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.failures[BASE] = EngineOverloaded("the waiting line is full")

    with pytest.raises(openai.RateLimitError) as caught:
        sdk.chat.completions.create(model=BASE, messages=ASK)

    assert caught.value.code == "engine_overloaded"


@pytest.mark.usefixtures("base_says")
def test_an_unknown_model_is_not_found(sdk: openai.OpenAI) -> None:
    for model in ("gpt-9", "org/model", f"ft:{BASE}:org::12345678"):
        with pytest.raises(openai.NotFoundError) as caught:
            sdk.chat.completions.create(model=model, messages=ASK)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.usefixtures("base_says")
@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"max_tokens": 9000}, "context_length_exceeded", "messages"),
        (
            {"messages": [{"role": "user", "content": "x" * 9000}]},
            "context_length_exceeded",
            "messages",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools.0.function"),
        ({"unheard_of": 1}, "unsupported_parameter", "unheard_of"),
        ({"n": 9}, "invalid_value", "n"),
        ({"temperature": 2.5}, "invalid_value", "temperature"),
        ({"top_p": -1}, "invalid_value", "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "invalid_value", "stop"),
        ({"stop": ["a", 5]}, "invalid_value", "stop.1"),
        ({"stop": 5}, "invalid_value", "stop"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "invalid_value", "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value", "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "unsupported_parameter",
            "messages.0.content.0.type",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]},
            "missing_required_parameter",
            "messages.0.tool_calls.0.id",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(
    sdk: openai.OpenAI,
    changes: dict[str, object],
    code: str,
    param: str,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model=BASE, messages=ASK, extra_body=changes)

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.usefixtures("base_says")
def test_the_async_client_streams_many_answers_at_once(api: RunningApi, tenant: Tenant) -> None:
    async def answer(client: openai.AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(
            model=BASE,
            messages=ASK,
            stream=True,
        )
        return collect([chunk async for chunk in stream])[0]

    async def answer_all() -> list[str]:
        async with api.async_sdk(tenant) as client:
            return await asyncio.gather(*(answer(client) for _ in range(20)))

    assert asyncio.run(answer_all()) == ["I am the base, naïve 🙂."] * 20
