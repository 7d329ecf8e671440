"""Users' text must never become special tokens: `<|im_end|>` typed by a user is ten characters.

Before rendering, a mark is put into every special-token string inside messages and tools; the
template's own special tokens stay whole. Only a rendering that contains marks is encoded piece by
piece; any other goes through the tokenizer in one go, exactly as transformers does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

MARK = "\ufdd0"
"""A Unicode noncharacter: reserved for a program's own use, so no real text contains it."""

_UNGUARDED_KEYS = frozenset({"role", "type"})


@dataclass(frozen=True)
class Encoding:
    """Token ids with the characters [start, end) each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class SpecialTokenGuard:
    """Marks special-token strings in users' text and encodes rendered text with marks in it."""

    def __init__(self, tokenizer_json: str) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._literal = Tokenizer.from_str(tokenizer_json)
        self._literal.encode_special_tokens = True  # "<|im_end|>" becomes ordinary tokens
        added = self._tokenizer.get_added_tokens_decoder()
        self.strings = tuple(
            sorted((t.content for t in added.values() if t.special), key=len, reverse=True)
        )
        self._ids = {t.content: i for i, t in added.items() if t.special}
        self._special = re.compile("|".join(map(re.escape, self.strings)) or r"(?!)")

    def protect(self, value: Any) -> Any:
        """A copy of a message, tool or list of them with a mark in each special-token string."""
        if isinstance(value, str):
            return self._special.sub(lambda m: m[0][0] + MARK + m[0][1:], value)
        if isinstance(value, Mapping):
            return {
                self.protect(key): item if key in _UNGUARDED_KEYS else self.protect(item)
                for key, item in value.items()
            }
        if isinstance(value, Sequence):
            return [self.protect(item) for item in value]
        return value

    def encode(self, rendered: str) -> Encoding:
        """Ids and offsets; offsets count characters of the text without marks."""
        if MARK not in rendered:
            whole = self._tokenizer.encode(rendered, add_special_tokens=False)
            return Encoding(whole.ids, whole.offsets)
        encoding = Encoding([], [])
        start, position = 0, 0
        for special in self._special.finditer(rendered):
            position = self._append(encoding, rendered[start : special.start()], position)
            encoding.ids.append(self._ids[special[0]])
            encoding.offsets.append((position, position + len(special[0])))
            position, start = position + len(special[0]), special.end()
        self._append(encoding, rendered[start:], position)
        return encoding

    def _append(self, encoding: Encoding, marked: str, position: int) -> int:
        text = marked.replace(MARK, "")
        piece = self._literal.encode(text, add_special_tokens=False)
        encoding.ids.extend(piece.ids)
        encoding.offsets.extend((position + a, position + b) for a, b in piece.offsets)
        return position + len(text)


def unmarked_position(rendered: str, position: int) -> int:
    """Where `position` of the marked text lies in the text without marks."""
    return position - rendered.count(MARK, 0, position)
