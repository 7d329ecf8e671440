"""Users' text must never become special tokens: `<|im_end|>` typed by a user is ten characters.

Before rendering, a mark is put into every special-token string inside messages and tools; the
template's own special tokens stay whole. Marked strings are then encoded letter for letter, and
everything between them goes through the tokenizer exactly as transformers does it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, processors

MARK = "\ufdd0"
"""A Unicode noncharacter: reserved for a program's own use, so no real text contains it."""

_ANCHOR = "\n"


@dataclass(frozen=True)
class Encoding:
    """Token ids with the characters [start, end) each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def plain_tokenizer(tokenizer_json: str) -> Tokenizer:
    """A tokenizer that neither cuts, pads nor adds anything, and whose offsets include white
    space: some post-processors trim it, and then nobody could tell whose it is."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.post_processor = processors.Sequence([])
    return tokenizer


class SpecialTokenGuard:
    """Marks special-token strings in users' text and encodes rendered text with marks in it."""

    def __init__(self, tokenizer_json: str) -> None:
        self._tokenizer = plain_tokenizer(tokenizer_json)
        self._literal = plain_tokenizer(tokenizer_json)
        self._literal.encode_special_tokens = True  # "<|im_end|>" becomes ordinary tokens
        added = self._tokenizer.get_added_tokens_decoder().values()
        strings = sorted((t.content for t in added if t.special), key=len, reverse=True)
        self._special = _any_of(strings)
        marked = _any_of([_with_mark(string) for string in strings]).pattern
        self._marked = re.compile(f"{marked}|{MARK}")

    def protect(self, value: Any) -> Any:
        """A copy of a message, tool or list of them with a mark in each special-token string."""
        if isinstance(value, str):
            return self._special.sub(lambda m: _with_mark(m[0]), value.replace(MARK, ""))
        if isinstance(value, Mapping):
            return {self.protect(key): self.protect(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.protect(item) for item in value]
        return value

    def first_in(self, value: Any) -> str | None:
        """A special-token string within a text, or within whatever holds texts."""
        if isinstance(value, str):
            found = self._special.search(value)
            return found[0] if found else None
        if isinstance(value, Mapping):
            value = [*value.keys(), *value.values()]
        if isinstance(value, Sequence):
            return next((token for item in value if (token := self.first_in(item))), None)
        return None

    def encode(self, rendered: str) -> Encoding:
        """Ids and offsets; offsets count characters of the text without marks."""
        encoding, position = Encoding([], []), 0
        for index, piece in enumerate(self._marked.split(rendered)):
            # text, marked string, text, …; None stands for a mark whose string a template has cut
            tokenizer = self._literal if index % 2 else self._tokenizer
            text = (piece or "").replace(MARK, "")
            part = _encode_within(tokenizer, text) if position else _encode(tokenizer, text)
            encoding.ids.extend(part.ids)
            encoding.offsets.extend((position + a, position + b) for a, b in part.offsets)
            position += len(text)
        return encoding


def unmarked_position(rendered: str, position: int) -> int:
    """Where `position` of the marked text lies in the text without marks."""
    return position - rendered.count(MARK, 0, position)


def _any_of(strings: Sequence[str]) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(map(re.escape, strings)) or '(?!)'})")


def _with_mark(string: str) -> str:
    return string[0] + MARK + string[1:]


def _encode(tokenizer: Tokenizer, text: str) -> Encoding:
    whole = tokenizer.encode(text, add_special_tokens=False)
    return Encoding(whole.ids, whole.offsets)


def _encode_within(tokenizer: Tokenizer, text: str) -> Encoding:
    """As in the middle of a text: SentencePiece puts a space before the first word of a text, so
    that the piece is encoded behind a line's end, which is then taken away."""
    anchor = _encode(tokenizer, _ANCHOR).ids
    anchored = _encode(tokenizer, _ANCHOR + text)
    if anchored.ids[: len(anchor)] != anchor:
        return _encode(tokenizer, text)
    offsets = [(max(a - 1, 0), b - 1) for a, b in anchored.offsets[len(anchor) :]]
    return Encoding(anchored.ids[len(anchor) :], offsets)
