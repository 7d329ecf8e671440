"""A demanded call keeps to its parameters' schema, whatever the model prefers."""

import json
import random
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.tool_use import plan_tools
from service.engine.generation.guides import to_grammar
from tests.service.core.text.conftest import Base, make_base
from tests.service.core.text.families import FAMILIES

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"where": {"$ref": "#/$defs/place"}},
    "required": ["where"],
    "additionalProperties": False,
    "$defs": {
        "place": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rom"]}},
            "required": ["city"],
            "additionalProperties": False,
        }
    },
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": PARAMETERS, "strict": True}}
    for name in ("weather", "time")
]


@pytest.fixture(scope="module", params=["qwen-2.5", "mistral", "llama-3"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    (family,) = [family for family in FAMILIES if family.name == request.param]
    folder = tmp_path_factory.mktemp("guided") / family.name
    return make_base(family, folder)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_walk_under_the_guide_is_a_call(base: Base, seed: int) -> None:
    request = CreateChatCompletion.model_validate(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "?"}],
            "tools": TOOLS,
            "tool_choice": "required",
            "parallel_tool_calls": False,
        }
    )
    tools = plan_tools(request, base.codec)
    assert tools is not None
    assert tools.guide is not None
    tokens = _walk(LLMatcher(_tokenizer(base), to_grammar(tools.guide)), len(base.oracle), seed)

    opening = base.codec.control_token(tools.form.opening) if tools.form.opening else None
    visible = {} if opening is None else {opening: tools.form.opening}
    text, parser = base.codec.new_stream(visible=visible), tools.new_parser()
    found = [parser.push(text.push(token)) for token in tokens]
    deltas = [delta for piece in found for delta in piece.calls]
    assert deltas[0].name in ("weather", "time")
    arguments = json.loads("".join(delta.arguments for delta in deltas))
    assert arguments["where"]["city"] in ("Paris", "Rom")
    assert parser.is_complete


@pytest.mark.parametrize("text", ["No { call", "<tool", "Yes.\n"])
def test_strict_arguments_leave_any_other_answer_free(base: Base, text: str) -> None:
    matcher = _strict_matcher(base)

    assert matcher.consume_tokens(base.codec.encode(text))
    assert matcher.is_accepting()


@pytest.mark.parametrize(("city", "allowed"), [("Paris", True), ("London", False)])
def test_strict_arguments_keep_to_their_schema_where_a_call_begins(
    base: Base, city: str, allowed: bool
) -> None:
    form = base.codec.tool_format
    assert form is not None
    call = json.dumps({"name": "time", form.arguments_name: {"where": {"city": city}}})
    inner = f"[{call}]" if form.is_list else call
    ending = form.padding + form.closing if form.closing else ""
    written = base.codec.encode(f"{form.opening}{form.padding}{inner}{ending}")

    matcher = _strict_matcher(base)

    assert (matcher.validate_tokens(written) == len(written)) == allowed


def _strict_matcher(base: Base) -> LLMatcher:
    request = CreateChatCompletion.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "?"}], "tools": TOOLS}
    )
    tools = plan_tools(request, base.codec)
    assert tools is not None
    assert tools.guide is not None
    matcher = LLMatcher(_tokenizer(base), to_grammar(tools.guide))
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def _tokenizer(base: Base) -> LLTokenizer:
    return LLTokenizer(
        base.oracle.backend_tokenizer.to_str(),
        n_vocab=len(base.oracle),
        eos_token=list(base.codec.stop_token_ids),
    )


def _walk(matcher: LLMatcher, vocabulary: int, seed: int) -> list[int]:
    assert not matcher.is_error(), matcher.get_error()
    choose = random.Random(seed)
    tokens: list[int] = []
    while not matcher.is_stopped():
        mask = matcher.compute_bitmask()
        token = choose.choice([t for t in range(vocabulary) if mask[t // 8] >> (t % 8) & 1])
        assert matcher.consume_token(token)
        tokens.append(token)
    return tokens
