"""Streamed pieces: together the whole text, never half a character, never past a stop string."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from service.core.text import TextCodec
from tests.service.core.text.conftest import Base

plain_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture(scope="module")
def codec(bases: dict[str, Base]) -> TextCodec:
    return bases["chatml"].codec


def stream(codec: TextCodec, tokens: list[int], *, stop: list[str] | None = None) -> list[str]:
    opened = codec.new_stream(stop=stop or [])
    return [*(opened.push(token) for token in tokens), opened.finish()]


@given(text=plain_texts)
def test_the_pieces_make_the_text_and_no_character_is_cut(codec: TextCodec, text: str) -> None:
    pieces = stream(codec, codec.encode_text(text))

    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces if "\ufffd" not in text)


@given(tokens=st.lists(st.integers(0, 258), max_size=40))
def test_any_tokens_make_what_they_decode_to(codec: TextCodec, tokens: list[int]) -> None:
    """Bytes that are no UTF-8 and special tokens included: a model may sample anything."""
    assert "".join(stream(codec, tokens)) == codec.decode(tokens)


@settings(max_examples=300)
@given(data=st.data())
def test_the_answer_ends_before_the_first_stop_string(codec: TextCodec, data: DataObject) -> None:
    words = st.text("ab\n€", max_size=12)
    text = data.draw(words)
    stop = data.draw(st.lists(st.text("ab\n€", min_size=1, max_size=3), min_size=1, max_size=3))
    first = min((text.find(s) for s in stop if s in text), default=len(text))

    pieces = stream(codec, codec.encode_text(text), stop=stop)

    assert "".join(pieces) == text[:first]


def test_text_that_cannot_become_a_stop_string_is_not_held_back(codec: TextCodec) -> None:
    opened = codec.new_stream(stop=["END"])

    given_out = [opened.push(token) for token in codec.encode_text("an EN")]

    assert "".join(given_out) == "an "
    assert opened.finish() == "EN"


def test_nothing_comes_after_a_stop_string(codec: TextCodec) -> None:
    opened = codec.new_stream(stop=["!"])

    pieces = [opened.push(token) for token in codec.encode_text("hi! there")]

    assert "".join(pieces) == "hi"
    assert opened.stopped
    assert opened.finish() == ""


def test_special_tokens_are_not_shown(codec: TextCodec) -> None:
    assert "".join(stream(codec, codec.encode("done<|im_end|>"))) == "done"
