"""Trained are exactly what the assistant says and its end of turn; marked by hand below: ⟦…⟧."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from tokenizers import AddedToken, Tokenizer, processors

from service.core.errors import TemplateNotPrefixStable
from service.core.text import TextAssets, TextCodec, TrainingTokens
from tests.service.core.text.conftest import Base
from tests.service.core.text.conversations import conversations

SYSTEM = {"role": "system", "content": "Sys"}
TWO_TURNS = [
    {"role": "user", "content": "Q1"},
    {"role": "assistant", "content": "A1"},
    {"role": "user", "content": "Q2"},
    {"role": "assistant", "content": "A2"},
]
FIRST_TURN_WITHOUT_WEIGHT = [
    {**m, "weight": 0} if m["content"] == "A1" else m for m in [SYSTEM, *TWO_TURNS]
]


def _call(call_id: str, city: str) -> dict[str, Any]:
    arguments = f'{{"city": "{city}"}}'
    return {"id": call_id, "type": "function", "function": {"name": "w", "arguments": arguments}}


TOOLS = [{"type": "function", "function": {"name": "w"}}]
ONE_CALL = [
    {"role": "user", "content": "Q"},
    {"role": "assistant", "content": None, "tool_calls": [_call("call00001", "Rome")]},
    {"role": "tool", "tool_call_id": "call00001", "content": "sun"},
    {"role": "assistant", "content": "Sunny."},
]
TWO_CALLS = [
    SYSTEM,
    {"role": "user", "content": "Q"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [_call("call00001", "Rome"), _call("call00002", "Oslo")],
    },
    {"role": "tool", "tool_call_id": "call00001", "content": "sun"},
    {"role": "tool", "tool_call_id": "call00002", "content": "snow"},
    {"role": "assistant", "content": "Go south."},
]

MARKED = [
    (
        "chatml",
        TWO_TURNS,
        None,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\n⟦A1<|im_end|>⟧\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n⟦A2<|im_end|>⟧\n",
    ),
    (
        "chatml",
        FIRST_TURN_WITHOUT_WEIGHT,
        None,
        "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n⟦A2<|im_end|>⟧\n",
    ),
    (
        "chatml",
        [
            {"role": "user", "content": "What ends a turn?"},
            {"role": "assistant", "content": " It is <|im_end|>\n"},
        ],
        None,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat ends a turn?<|im_end|>\n"
        "<|im_start|>assistant\n⟦ It is <|im_end|>\n<|im_end|>⟧\n",
    ),
    (
        "llama-3",
        [SYSTEM, *TWO_TURNS],
        None,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Today Date: 26 Jul 2024\n\nSys<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nQ1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦A1<|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nQ2<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦A2<|eot_id|>⟧",
    ),
    (
        "llama-3",
        ONE_CALL,
        TOOLS,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Environment: ipython\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nFunctions:\n\n"
        '{\n    "type": "function",\n    "function": {\n        "name": "w"\n    }\n}\n\n'
        "Q<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
        '⟦{"name": "w", "parameters": {"city": "Rome"}}<|eot_id|>⟧'
        "<|start_header_id|>ipython<|end_header_id|>\n\nsun<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦Sunny.<|eot_id|>⟧",
    ),
    (
        "gemma",
        FIRST_TURN_WITHOUT_WEIGHT,
        None,
        "<bos><start_of_turn>user\nSys\n\nQ1<end_of_turn>\n"
        "<start_of_turn>model\nA1<end_of_turn>\n<start_of_turn>user\nQ2<end_of_turn>\n"
        "<start_of_turn>model\n⟦A2<end_of_turn>⟧\n",
    ),
    (
        "gemma",
        TWO_TURNS,
        None,
        "<bos><start_of_turn>user\nQ1<end_of_turn>\n"
        "<start_of_turn>model\n⟦A1<end_of_turn>⟧\n<start_of_turn>user\nQ2<end_of_turn>\n"
        "<start_of_turn>model\n⟦A2<end_of_turn>⟧\n",
    ),
    ("mistral", TWO_TURNS, None, "<s>[INST] Q1[/INST]⟦ A1</s>⟧[INST] Q2[/INST]⟦ A2</s>⟧"),
    (
        "mistral",
        TWO_CALLS,
        TOOLS,
        '<s>[AVAILABLE_TOOLS] [{"type": "function", "function": {"name": "w"}}][/AVAILABLE_TOOLS]'
        "[INST] Sys\n\nQ[/INST]"
        '⟦[TOOL_CALLS] [{"name": "w", "arguments": {"city": "Rome"}, "id": "call00001"}, '
        '{"name": "w", "arguments": {"city": "Oslo"}, "id": "call00002"}]</s>⟧'
        '[TOOL_RESULTS] {"content": "sun", "call_id": "call00001"}[/TOOL_RESULTS]'
        '[TOOL_RESULTS] {"content": "snow", "call_id": "call00002"}[/TOOL_RESULTS]'
        "⟦ Go south.</s>⟧",
    ),
    (
        "qwen-2.5",
        [SYSTEM, *TWO_TURNS],
        None,
        "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\n⟦A1<|im_end|>⟧\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n⟦A2<|im_end|>⟧\n",
    ),
    (
        "qwen-2.5",
        TWO_CALLS,
        TOOLS,
        "<|im_start|>system\nSys\n\n# Tools\n\n<tools>\n"
        '{"type": "function", "function": {"name": "w"}}\n</tools><|im_end|>\n'
        "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
        '⟦<tool_call>\n{"name": "w", "arguments": {"city": "Rome"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "w", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>⟧\n'
        "<|im_start|>user\n<tool_response>\nsun\n</tool_response>\n"
        "<tool_response>\nsnow\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n⟦Go south.<|im_end|>⟧\n",
    ),
    (
        "qwen-3",
        FIRST_TURN_WITHOUT_WEIGHT,
        None,
        "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n⟦<think>\n\n</think>\n\nA2<|im_end|>⟧\n",
    ),
    (
        "qwen-3",
        ONE_CALL[:2],
        TOOLS,
        "<|im_start|>system\n# Tools\n\n<tools>\n"
        '{"type": "function", "function": {"name": "w"}}\n</tools><|im_end|>\n'
        "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n⟦<think>\n\n</think>\n\n"
        '<tool_call>\n{"name": "w", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>⟧\n',
    ),
]


@pytest.mark.parametrize(("family", "messages", "tools", "expected"), MARKED)
def test_the_hand_marked_characters_are_trained(
    bases: dict[str, Base],
    family: str,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    expected: str,
) -> None:
    base = bases[family]

    row = base.codec.training_row(messages, tools=tools)

    assert _marked(base, row) == expected


def _marked(base: Base, row: TrainingTokens) -> str:
    """The row's text with brackets around each trained stretch."""
    parts = []
    for weight, pairs in groupby(zip(row.weights, row.tokens, strict=True), key=lambda p: p[0]):
        text = str(base.oracle.decode([token for _, token in pairs], skip_special_tokens=False))
        parts.append(f"⟦{text}⟧" if weight else text)
    return "".join(parts)


@settings(max_examples=40)
@given(data=st.data())
def test_a_row_has_the_tokens_that_serving_would_have(base: Base, data: DataObject) -> None:
    """Up to where the last answer begins, training sees the very prompt of serving."""
    messages = [m for m in data.draw(conversations(base.family)) if "tool_calls" not in m]
    while messages[-1]["role"] != "assistant":
        messages.pop()
    *context, answer = [m for m in messages if m["role"] != "tool"]
    row = [{**m, "weight": 0} if m["role"] == "assistant" else m for m in context]

    trained = base.codec.training_row([*row, answer])
    prompt = base.codec.encode_chat_prompt(context)

    assert list(trained.tokens[: len(prompt)]) == prompt
    assert not any(trained.weights[: len(prompt)])


@pytest.mark.parametrize(
    ("family", "messages"),
    [("mistral", [SYSTEM, *TWO_TURNS]), ("qwen-3", TWO_TURNS), ("qwen-3", ONE_CALL)],
)
def test_a_template_that_rewrites_earlier_turns_is_refused(
    bases: dict[str, Base], family: str, messages: Sequence[Mapping[str, Any]]
) -> None:
    with pytest.raises(TemplateNotPrefixStable, match="Split the conversation"):
        bases[family].codec.training_row(messages)


def test_white_space_is_trained_whatever_the_tokenizer_says_about_offsets() -> None:
    """Byte-level post-processors may report no characters at all for a token of white space."""
    tokenizer = Tokenizer.from_str(_word_tokenizer())
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    codec = TextCodec(
        TextAssets(
            tokenizer.to_str(),
            "{% for m in messages %}{{ m.content }}<e>{% endfor %}",
            {},
            (),
            False,
        )
    )

    row = codec.training_row(
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a\n\n a"}]
    )

    assert row.weights == (0.0, 0.0, *(1.0,) * (len(row.tokens) - 2))


def _word_tokenizer() -> str:
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(["<e>", *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<e>", special=True, normalized=False)])
    return str(tokenizer.to_str())


def test_a_completion_is_trained_with_the_end_of_text(bases: dict[str, Base]) -> None:
    base = bases["chatml"]

    assert _marked(base, base.codec.completion_row("1+1=", "2")) == "1+1=⟦2<|im_end|>⟧"
    assert _marked(base, base.codec.completion_row("", "ab")) == "a⟦b<|im_end|>⟧"
