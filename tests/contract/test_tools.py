"""Tools through the official SDK, for each family of templates that has them."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from service.core.engine_protocol import BaseState, HeadSpec
from service.core.storage import ObjectStore
from service.core.text import TextAssets, TextCodec
from tests.fakes.engine import FakeEngine
from tests.fakes.serving import served_fake
from tests.running_api import RunningApi, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials
from tests.service.core.text.families import FAMILIES, Family
from tests.tiny_base import write_tokenizer

EFFORTFUL = Family("effortful", ("<|im_start|>", "<|im_end|>"), "<|im_start|>", "<|im_end|>")
"""Its template says how long to reason."""
BASES = (*FAMILIES, EFFORTFUL)
FAMILY_NAMES = [family.name for family in BASES]
CALLING = ["qwen-2.5", "mistral", "llama-3"]
ARGUMENTS = '{"city": "Paris"}'
WRITTEN = {
    "qwen-2.5": '<tool_call>\n{"name": "weather", "arguments": ' + ARGUMENTS + "}\n</tool_call>",
    "mistral": '[TOOL_CALLS] [{"name": "weather", "arguments": ' + ARGUMENTS + "}]",
    "llama-3": '{"name": "weather", "parameters": ' + ARGUMENTS + "}",
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Tells the {name}",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": name == "weather",
        },
    }
    for name in ("weather", "time")
]
ASK: Any = [{"role": "user", "content": "How is it in Paris?"}]


def base_of(name: str) -> BaseState:
    digest = f"{FAMILY_NAMES.index(name):064x}"
    return BaseState(
        name=name,
        digest=digest,
        text_key=f"bases/{digest}/text.json",
        context_length=8192,
        parameters=1000,
        dtype="float32",
    )


@pytest.fixture(scope="module")
def codecs(object_store: ObjectStore) -> dict[str, TextCodec]:
    """By family, each published as a base's text."""
    object_store.ensure_bucket()
    made = {}
    for family in BASES:
        with tempfile.TemporaryDirectory() as folder:
            write_tokenizer(
                Path(folder),
                special=family.special,
                chat_template=family.template,
                bos_token=family.bos_token,
                eos_token=family.eos_token,
            )
            assets = TextAssets.from_pretrained_folder(Path(folder))
        object_store.put_bytes(base_of(family.name).text_key, assets.to_json().encode())
        made[family.name] = TextCodec(assets)
    return made


@pytest.fixture(scope="module")
def tool_api(
    tmp_path_factory: pytest.TempPathFactory, s3_credentials: S3Credentials, valkey_url: str
) -> Iterator[RunningApi]:
    settings = api_settings(tmp_path_factory.mktemp("tools"), s3_credentials, valkey_url)
    with running_api(settings) as running:
        yield running


@pytest.fixture(scope="module")
def tool_engine(tool_api: RunningApi, codecs: dict[str, TextCodec]) -> Iterator[FakeEngine]:
    """One engine with a base of each family."""
    fake = FakeEngine(bases=[base_of(name) for name in codecs])
    with served_fake(fake), reporting(tool_api, fake):
        yield fake


@pytest.fixture
def sdk(tool_api: RunningApi, tool_engine: FakeEngine) -> Iterator[openai.OpenAI]:
    with tool_api.sdk(tool_api.new_tenant()) as client:
        yield client


def say(engine: FakeEngine, codecs: dict[str, TextCodec], family: str, text: str) -> None:
    engine.answers[family] = codecs[family].encode(text)


@pytest.mark.parametrize("family", CALLING)
def test_a_call_is_answered_as_a_call_and_its_result_goes_back(
    sdk: openai.OpenAI, tool_engine: FakeEngine, codecs: dict[str, TextCodec], family: str
) -> None:
    say(tool_engine, codecs, family, WRITTEN[family])

    answer = sdk.chat.completions.create(model=family, messages=ASK, tools=TOOLS)

    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    asked = codecs[family].decode(tool_engine.requests[-1].tokens)
    assert "Tells the time" in asked

    say(tool_engine, codecs, family, "Fine.")
    history: Any = [
        *ASK,
        choice.message.model_dump(),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny today"},
    ]
    again = sdk.chat.completions.create(model=family, messages=history, tools=TOOLS)

    assert (again.choices[0].message.content, again.choices[0].finish_reason) == ("Fine.", "stop")
    assert again.choices[0].message.tool_calls is None
    assert "sunny today" in codecs[family].decode(tool_engine.requests[-1].tokens)


@pytest.mark.parametrize("family", CALLING)
def test_a_streamed_call_adds_up_to_the_whole_one(
    sdk: openai.OpenAI, tool_engine: FakeEngine, codecs: dict[str, TextCodec], family: str
) -> None:
    say(tool_engine, codecs, family, WRITTEN[family])

    strict: Any = [{**t, "function": {**t["function"], "strict": True}} for t in TOOLS]

    with sdk.chat.completions.stream(model=family, messages=ASK, tools=strict) as stream:
        events = list(stream)
        final = stream.get_final_completion()

    (choice,) = final.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    assert len([e for e in events if e.type == "tool_calls.function.arguments.delta"]) > 3


def test_what_is_said_before_calls_is_content(
    sdk: openai.OpenAI, tool_engine: FakeEngine, codecs: dict[str, TextCodec]
) -> None:
    written = WRITTEN["qwen-2.5"]
    say(tool_engine, codecs, "qwen-2.5", f"Let me see.\n{written}\n{written}")

    two = sdk.chat.completions.create(model="qwen-2.5", messages=ASK, tools=TOOLS)
    one = sdk.chat.completions.create(
        model="qwen-2.5", messages=ASK, tools=TOOLS, parallel_tool_calls=False
    )

    assert two.choices[0].message.content == one.choices[0].message.content == "Let me see."
    assert len(two.choices[0].message.tool_calls or ()) == 2
    assert len(one.choices[0].message.tool_calls or ()) == 1


def test_without_a_choice_of_tools_nothing_is_a_call(
    sdk: openai.OpenAI, tool_engine: FakeEngine, codecs: dict[str, TextCodec]
) -> None:
    written = WRITTEN["qwen-2.5"]
    say(tool_engine, codecs, "qwen-2.5", written)

    answer = sdk.chat.completions.create(
        model="qwen-2.5", messages=ASK, tools=TOOLS, tool_choice="none"
    )

    assert answer.choices[0].message.content == written
    assert "Tells the time" not in codecs["qwen-2.5"].decode(tool_engine.requests[-1].tokens)


@pytest.mark.parametrize("family", CALLING)
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["weather", "time"]),
        ({"type": "function", "function": {"name": "time"}}, ["time"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "weather"}}],
                },
            },
            ["weather"],
        ),
        ("auto", ["weather", "time"]),
    ],
)
def test_a_call_is_guided_where_it_is_demanded_or_strict(
    sdk: openai.OpenAI,
    tool_engine: FakeEngine,
    codecs: dict[str, TextCodec],
    family: str,
    choice: Any,
    names: list[str],
) -> None:
    say(tool_engine, codecs, family, WRITTEN[family])

    sdk.chat.completions.create(model=family, messages=ASK, tools=TOOLS, tool_choice=choice)

    guide = tool_engine.requests[-1].sampling.guide
    assert guide is not None
    assert guide.is_optional == (choice == "auto")
    schema = json.loads(guide.json_schema)
    calls = (schema.get("items") or schema)["anyOf"]
    assert [call["properties"]["name"]["const"] for call in calls] == names
    if choice == "auto":  # of the two functions one is strict
        arguments = "parameters" if family == "llama-3" else "arguments"
        assert ["properties" in call["properties"][arguments] for call in calls] == [True, False]


FUNCTIONS: Any = [tool["function"] for tool in TOOLS]


@pytest.mark.parametrize("family", CALLING)
@pytest.mark.parametrize("stream", [False, True])
def test_who_asks_with_functions_is_answered_with_a_function_call(
    sdk: openai.OpenAI,
    tool_engine: FakeEngine,
    codecs: dict[str, TextCodec],
    family: str,
    stream: bool,
) -> None:
    say(tool_engine, codecs, family, WRITTEN[family])
    ask: Any = {"model": family, "functions": FUNCTIONS, "store": True}

    if stream:
        pieces = list(sdk.chat.completions.create(messages=ASK, stream=True, **ask))
        ends = [p.choices[0].finish_reason for p in pieces]
        calls = [p.choices[0].delta.function_call for p in pieces]
        written = [(call.name or "", call.arguments or "") for call in calls if call]
        called = tuple("".join(parts) for parts in zip(*written, strict=True))
        assert (called, ends[-1]) == (("weather", ARGUMENTS), "function_call")
    else:
        (choice,) = sdk.chat.completions.create(messages=ASK, **ask).choices
        assert choice.message.function_call is not None
        assert choice.message.function_call.arguments == ARGUMENTS
        assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    (stored,) = sdk.chat.completions.list(limit=1).data
    assert stored.choices[0].message.function_call is not None
    assert stored.choices[0].message.function_call.arguments == ARGUMENTS

    history = [
        *ASK,
        {"role": "assistant", "function_call": {"name": "weather", "arguments": ARGUMENTS}},
        {"role": "function", "name": "weather", "content": "sunny"},
    ]
    sdk.chat.completions.create(model=family, messages=history, functions=FUNCTIONS)
    asked = codecs[family].decode(tool_engine.requests[-1].tokens)
    assert "sunny" in asked
    assert "Tells the time" in asked


@pytest.mark.parametrize(
    ("choice", "names"),
    [({"name": "time"}, ["time"]), ("none", None), ("auto", ["weather", "time"])],
)
def test_function_call_chooses_as_tool_choice_does(
    sdk: openai.OpenAI,
    tool_engine: FakeEngine,
    codecs: dict[str, TextCodec],
    choice: Any,
    names: list[str] | None,
) -> None:
    say(tool_engine, codecs, "llama-3", WRITTEN["llama-3"])

    sdk.chat.completions.create(
        model="llama-3", messages=ASK, functions=FUNCTIONS, function_call=choice
    )

    guide = tool_engine.requests[-1].sampling.guide
    if names is None:
        assert guide is None
        return
    assert guide is not None
    calls = json.loads(guide.json_schema)["anyOf"]
    assert [call["properties"]["name"]["const"] for call in calls] == names


def test_both_forms_at_once_are_refused(sdk: openai.OpenAI) -> None:
    for changes in (
        {"functions": FUNCTIONS, "tools": TOOLS},
        {"tools": TOOLS, "function_call": "auto"},
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(model="llama-3", messages=ASK, extra_body=changes)
        assert caught.value.param in ("functions", "function_call")


def test_reasoning_effort_reaches_a_template_that_knows_it_and_is_refused_by_others(
    sdk: openai.OpenAI, tool_engine: FakeEngine, codecs: dict[str, TextCodec]
) -> None:
    prompts = []
    for effort in ("low", "high"):
        sdk.chat.completions.create(
            model="effortful",
            messages=ASK,
            reasoning_effort=effort,  # type: ignore[arg-type]
        )
        prompts.append(codecs["effortful"].decode(tool_engine.requests[-1].tokens))

    assert "Reasoning: low" in prompts[0]
    assert "Reasoning: high" in prompts[1]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="qwen-2.5", messages=ASK, reasoning_effort="low")
    assert (caught.value.code, caught.value.param) == (
        "unsupported_parameter",
        "reasoning_effort",
    )


@pytest.mark.parametrize("family", ["chatml", "gemma"])
def test_a_model_whose_template_has_no_tools_refuses_them(
    sdk: openai.OpenAI, tool_engine: FakeEngine, family: str
) -> None:
    tool_engine.answers.pop(family, None)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: Any = [*ASK, {"role": "assistant", "tool_calls": [call]}]
    for changes in ({"tools": TOOLS}, {"messages": history}):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(model=family, messages=ASK, extra_body=changes)
        assert caught.value.code == "unsupported_parameter"
        assert caught.value.param in ("tools", "messages.1")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "no"}}},
            "invalid_value",
            "tool_choice",
        ),
        (
            {"tools": TOOLS, "response_format": {"type": "json_object"}},
            "unsupported_parameter",
            "tools",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "white space"}}]},
            "invalid_value",
            "tools.0.function.name",
        ),
    ],
)
def test_what_cannot_be_done_with_tools_is_refused(
    sdk: openai.OpenAI, changes: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="qwen-2.5", messages=ASK, extra_body=changes)

    assert (caught.value.code, caught.value.param) == (code, param)


def test_an_answer_is_scored_with_the_tools_and_by_the_tokens_that_its_pair_is_trained_with(
    tool_api: RunningApi, tool_engine: FakeEngine, codecs: dict[str, TextCodec]
) -> None:
    """Members of the tools in another order than the api's own."""
    tools = [{"function": dict(reversed(t["function"].items())), "type": t["type"]} for t in TOOLS]
    said = [{"role": "assistant", "content": text} for text in ("Sunny.", "No idea.")]
    pair = {
        "input": {"messages": ASK, "tools": tools},
        "preferred_output": said[:1],
        "non_preferred_output": said[1:],
    }
    tenant = tool_api.new_tenant()
    tool_api.publish_model(tenant, "ft:score", "e" * 64, base=base_of("qwen-2.5"))
    tool_engine.heads["e" * 64] = HeadSpec(kind="reward")
    headers = {"Authorization": f"Bearer {tenant.key}"}
    with httpx2.Client(base_url=tool_api.url, headers=headers, timeout=30) as http:
        preview = {"model": "qwen-2.5", "method": {"type": "reward_model"}, "rows": [pair]}
        shown = http.post("/v1/fine_tuning/preview", json=preview).json()
        asked = {"model": "ft:score", "input": [*ASK, said[0]], "tools": tools}
        scored = http.post("/v1/classify", json=asked)

    assert scored.status_code == 200, scored.text
    trained = shown["rows"][0]["sequences"][0]["token_ids"]
    assert "Tells the time" in codecs["qwen-2.5"].decode(trained)
    assert list(tool_engine.classified[-1]) == trained
