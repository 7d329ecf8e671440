"""What bytes a single token stands for; half a UTF-8 character has bytes and no text."""

import json
import re

from tokenizers import Tokenizer

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-F]{2})>")
_WORD_START = "\u2581"
"""How SentencePiece writes a space."""


class TokenBytes:
    """Of byte-level vocabularies, where a token's string spells bytes, and of SentencePiece's."""

    def __init__(self, tokenizer_json: str, tokenizer: Tokenizer) -> None:
        decoder = json.dumps(json.loads(tokenizer_json).get("decoder"))
        self._is_byte_level = '"ByteLevel"' in decoder
        self._tokenizer = tokenizer
        self._added = {
            token_id: added.content
            for token_id, added in tokenizer.get_added_tokens_decoder().items()
        }
        self._bytes = _byte_of_character()

    def of(self, token: int) -> bytes:
        """Empty for an id that names no token."""
        if token in self._added:
            return self._added[token].encode()
        string = self._tokenizer.id_to_token(token) or ""
        if self._is_byte_level:
            return bytes(self._bytes[character] for character in string if character in self._bytes)
        fallback = _BYTE_FALLBACK.fullmatch(string)
        if fallback:
            return bytes.fromhex(fallback[1])
        return string.replace(_WORD_START, " ").encode()


def _byte_of_character() -> dict[str, int]:
    """The alphabet of byte-level vocabularies: printable bytes stand for themselves, the others
    for characters from U+0100 on, in their order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + place): byte for place, byte in enumerate(others)}
