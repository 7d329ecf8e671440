"""Tokens to text as they come, without ever sending a piece that must be taken back."""

from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TokenStream:
    """Incremental detokeniser of one answer, with stop strings.

    Half a UTF-8 character waits for its other half; text that may be the beginning of a stop
    string waits until it is known not to be.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: Sequence[str], visible: Mapping[int, str] | None = None
    ) -> None:
        """`visible`: control tokens that are given out as text, while others leave none."""
        self._tokenizer = tokenizer
        self._stop = tuple(s for s in stop if s)
        self._visible = visible or {}
        self._held = ""
        self._begin()
        self.stopped = False
        """A stop string was met: what stood before it was given out, the rest is discarded."""

    def push(self, token: int) -> str:
        """Take one token; returns the text that is now certain, often empty."""
        if self.stopped:
            return ""
        if token in self._visible:
            rest = self._undecoded()
            self._begin()
            return self._release(rest + self._visible[token])
        self._tokens.append(token)
        piece = self._decoder.step(self._tokenizer, token) or ""
        self._decoded_characters += len(piece)
        return self._release(piece)

    def finish(self) -> str:
        """The answer has ended: everything still held back."""
        if self.stopped:
            return ""
        rest = self._release(self._undecoded()) + self._held
        self._held = ""
        return rest

    def _begin(self) -> None:
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._decoded_characters = 0

    def _undecoded(self) -> str:
        """What the tokens give if none follows: half a character as a replacement character."""
        whole = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        return str(whole[self._decoded_characters :])

    def _release(self, piece: str) -> str:
        text = self._held + piece
        # the one that is complete first, so that the answer does not depend on where tokens end
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            _, start = min(found)
            return text[:start]
        keep = max((overlap(text, s) for s in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
