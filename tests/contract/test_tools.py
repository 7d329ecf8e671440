"""Tools through the official SDK, for each family of templates that has them."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from service.core.engine_protocol import BaseState
from service.core.storage import ObjectStore
from service.core.text import TextAssets, TextCodec
from tests.fakes.engine import FakeEngine
from tests.fakes.serving import served_fake
from tests.running_api import RunningApi, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials
from tests.service.core.text.families import FAMILIES
from tests.tiny_base import write_tokenizer

FAMILY_NAMES = [family.name for family in FAMILIES]
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
    for family in FAMILIES:
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
