"""Calls of tools in answers: however the text is cut into pieces, the same calls come out."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.text import Found, ToolCallParser, ToolFormat
from service.core.text.tool_format import HERMES, LLAMA, MISTRAL, SMOLLM
from tests.service.core.text.conftest import Base

PARIS = '{"city": "Paris } \\" ]", "days": [1, {"a": 2}]}'
TEXTS: list[tuple[ToolFormat, str, str, list[tuple[str, str]]]] = [
    (HERMES, "No call.", "No call.", []),
    (HERMES, "a <tool_cal b", "a <tool_cal b", []),
    (
        HERMES,
        f'Let me see.\n<tool_call>\n{{"name": "weather", "arguments": {PARIS}}}\n</tool_call>',
        "Let me see.",
        [("weather", PARIS)],
    ),
    (
        HERMES,
        '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"arguments": {"a": 1}, "name": "time"}\n</tool_call> Done.',
        " Done.",
        [("weather", "{}"), ("time", '{"a": 1}')],
    ),
    (
        HERMES,
        '<tool_call>{"name": "weather", "arguments": "{\\"a\\": 1}"}</tool_call>',
        "",
        [("weather", '{"a": 1}')],
    ),
    (
        HERMES,
        'x <tool_call>{"name": "unknown", "arguments": {}}</tool_call> y',
        'x <tool_call>{"name": "unknown", "arguments": {}}</tool_call> y',
        [],
    ),
    (HERMES, 'x <tool_call>{"name": "wea', 'x <tool_call>{"name": "wea', []),
    (HERMES, "x <tool_call>no json", "x <tool_call>no json", []),
    (
        HERMES,
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Par',
        "",
        [("weather", '{"city": "Par')],
    ),
    (
        SMOLLM,
        '<tool_call>[{"name": "weather", "arguments": {"a": 1}}, '
        '{"name": "time", "arguments": {}}]</tool_call>',
        "",
        [("weather", '{"a": 1}'), ("time", "{}")],
    ),
    (
        MISTRAL,
        f'[TOOL_CALLS] [{{"name": "weather", "arguments": {PARIS}, "id": "abcdefghi"}}, '
        '{"name": "time", "arguments": {}}]',
        "",
        [("weather", PARIS), ("time", "{}")],
    ),
    (LLAMA, f'{{"name": "weather", "parameters": {PARIS}}}', "", [("weather", PARIS)]),
    (
        LLAMA,
        '\n{"type": "function", "name": "weather", "parameters": {}}; '
        '{"name": "time", "parameters": {"a": 1}}',
        "",
        [("weather", "{}"), ("time", '{"a": 1}')],
    ),
    (LLAMA, ' It is {"name": "weather"}.', ' It is {"name": "weather"}.', []),
    (LLAMA, ' {"answer": {"name": 5}} so', ' {"answer": {"name": 5}} so', []),
]


def gather(pieces: list[Found]) -> tuple[str, list[tuple[str, str]]]:
    calls: list[tuple[str, str]] = []
    for piece in pieces:
        for delta in piece.calls:
            if delta.name is not None:
                assert delta.index == len(calls)
                calls.append((delta.name, delta.arguments))
            else:
                name, arguments = calls[delta.index]
                calls[delta.index] = (name, arguments + delta.arguments)
    return "".join(piece.text for piece in pieces), calls


@pytest.mark.parametrize(("form", "text", "content", "calls"), TEXTS)
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_calls_are_found_however_the_text_is_cut(
    form: ToolFormat, text: str, content: str, calls: list[tuple[str, str]], cuts: list[int]
) -> None:
    parser = ToolCallParser(form, {"weather", "time"})
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [parser.push(text[a:b]) for a, b in pairwise(places)]

    assert gather([*pieces, parser.finish()]) == (content, calls)


def test_arguments_are_passed_on_as_they_come() -> None:
    parser = ToolCallParser(HERMES, {"weather"})

    (begun,) = parser.push('<tool_call>{"name": "weather", "arguments": {"ci').calls[:1]
    grown = parser.push('ty": ').calls

    assert (begun.name, begun.arguments) == ("weather", "")
    assert [delta.arguments for delta in grown] == ['ty": ']


def test_after_the_last_wanted_call_nothing_counts() -> None:
    parser = ToolCallParser(HERMES, {"weather"}, limit=1)
    call = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>'

    found = parser.push(f"{call}{call} and text")

    assert parser.is_complete
    assert gather([found, parser.finish()]) == ("", [("weather", "{}")])


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("qwen-2.5", "hermes"),
        ("qwen-3", "hermes"),
        ("mistral", "mistral"),
        ("llama-3", "llama-3"),
        ("chatml", None),
        ("gemma", None),
    ],
)
def test_a_template_tells_how_its_family_calls(
    bases: dict[str, Base], family: str, name: str | None
) -> None:
    codec = bases[family].codec

    assert (codec.tool_format.name if codec.tool_format else None) == name
    assert codec.takes_tools == (name is not None)


@pytest.mark.parametrize("family", ["qwen-2.5", "qwen-3", "mistral", "llama-3"])
def test_what_a_template_writes_is_read_back(bases: dict[str, Base], family: str) -> None:
    codec = bases[family].codec
    assert codec.tool_format is not None
    question = {"role": "user", "content": "?"}
    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    call = {"id": "abcdefghi", "type": "function", "function": function}
    prompt = codec.render_chat([question])
    written = codec.render_chat(
        [question, {"role": "assistant", "content": "", "tool_calls": [call]}],
        add_generation_prompt=False,
    ).removeprefix(prompt)
    parser = ToolCallParser(codec.tool_format, {"weather"})

    _, calls = gather([parser.push(written), parser.finish()])

    assert [(name, json.loads(arguments)) for name, arguments in calls] == [
        ("weather", {"city": "Paris"})
    ]


def test_a_control_token_can_be_made_visible(bases: dict[str, Base]) -> None:
    codec = bases["mistral"].codec
    opening = codec.control_token("[TOOL_CALLS]")
    assert opening is not None
    tokens = [*codec.encode("é"), opening, *codec.encode("[1]"), *codec.encode("</s>")]
    seen, hidden = codec.new_stream(visible={opening: "[TOOL_CALLS]"}), codec.new_stream()

    assert "".join([*map(seen.push, tokens), seen.finish()]) == "é[TOOL_CALLS][1]"
    assert "".join([*map(hidden.push, tokens), hidden.finish()]) == "é[1]"
    assert codec.control_token("[1]") is None


def test_the_bytes_of_tokens_add_up_to_the_text(base: Base) -> None:
    text = "naïve 🙂\n"

    assert b"".join(map(base.codec.token_bytes, base.codec.encode(text))) == text.encode()
    assert base.codec.token_bytes(10**9) == b""
