"""Streamed pieces: together the whole text, never half a character, never past a stop string."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from service.core.text import TextAssets, TextCodec
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


_PIECES = ["a", "b", "\n", "€", "ab", "ba", "a\n", "\na", "€b", "aa", "a\na"]


@pytest.fixture(scope="module")
def piecewise() -> TextCodec:
    """Each of `_PIECES` is a token, so that one text can be told in many ways."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = {splitter.pre_tokenize_str(text)[0][0]: i for i, text in enumerate(_PIECES)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    return TextCodec(TextAssets(tokenizer.to_str(), None, {}, (), False))


@settings(max_examples=300)
@given(
    tokens=st.lists(st.integers(0, len(_PIECES) - 1), max_size=8),
    stop=st.lists(st.text("ab\n€", min_size=1, max_size=3), max_size=3),
)
def test_the_answer_ends_before_the_stop_string_that_is_complete_first(
    piecewise: TextCodec, tokens: list[int], stop: list[str]
) -> None:
    text = "".join(_PIECES[token] for token in tokens)
    found = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    end = min(found)[1] if found else len(text)

    pieces = stream(piecewise, tokens, stop=stop)

    assert "".join(pieces) == text[:end]


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
