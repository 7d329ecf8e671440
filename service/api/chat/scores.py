"""Tokens with their log-probabilities, from ids to what is told of them."""

from collections import deque
from collections.abc import Callable, Sequence

from service.core.engine_protocol import TokenLogprob

ScoredToken = tuple[int, TokenLogprob]


class ScoreKeeper:
    """Holds the scores of tokens until their text is given out, so that a stop string takes the
    scores of what it cuts with it."""

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._waiting: deque[ScoredToken] = deque()
        self._uncovered = 0
        """Bytes of text given out beyond the tokens told."""

    def add(self, tokens: Sequence[int], logprobs: Sequence[TokenLogprob], text: str) -> None:
        """Tokens have come, and this text was given out after them."""
        self._waiting.extend(zip(tokens, logprobs, strict=False))  # none, if not asked for
        self._uncovered += len(text.encode("utf-8", "replace"))

    def take_covered(self) -> tuple[ScoredToken, ...]:
        """Of the tokens that begin in the text given out so far."""
        covered = []
        while self._waiting and self._uncovered > 0:
            token, score = self._waiting.popleft()
            self._uncovered -= len(self._token_bytes(token))
            covered.append((token, score))
        return tuple(covered)

    def take_all(self) -> tuple[ScoredToken, ...]:
        covered, self._waiting = tuple(self._waiting), deque()
        return covered


def readable(piece: bytes) -> str:
    """A token as text; bytes that are no character alone show as replacement characters."""
    return piece.decode("utf-8", "replace")
