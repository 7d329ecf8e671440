"""One choice of a completion: its text, with its prompt's if that is echoed, and its scores."""

from collections.abc import Sequence

from service.api.chat.deltas import ChoiceDelta
from service.api.chat.planning import Plan
from service.api.chat.schemas import LEAST_LOGPROB
from service.api.chat.scores import readable
from service.api.completions.requests import CreateCompletion
from service.api.completions.schemas import CompletionChoice, CompletionLogprobs
from service.core.engine_protocol import TokenLogprob

Entry = tuple[int, TokenLogprob | None]


class GrowingText:
    """Turns the deltas of one choice into pieces of its answer."""

    def __init__(self, plan: Plan, request: CreateCompletion, index: int) -> None:
        self._codec = plan.codec
        self._index = index
        self._top = request.logprobs
        self._echoed = plan.prompt_of(index) if request.echo else ()
        self._has_echoed = False
        self._scored = 1
        self._offset = 0

    def grow(self, delta: ChoiceDelta) -> CompletionChoice | None:
        """None where nothing is to be told yet."""
        entries = [*self._prompt_entries(delta.prompt_scores), *delta.scores]
        text = self._echo() + delta.text
        if not (text or entries or delta.finish_reason):
            return None
        reason = "length" if delta.finish_reason == "length" else "stop"
        return CompletionChoice(
            index=self._index,
            text=text,
            logprobs=None if self._top is None else self._logprobs(entries),
            finish_reason=reason if delta.finish_reason else None,
        )

    def _echo(self) -> str:
        """The prompt, once; control tokens show as they are written."""
        if self._has_echoed:
            return ""
        self._has_echoed = True
        return readable(b"".join(map(self._codec.token_bytes, self._echoed)))

    def _prompt_entries(self, scores: Sequence[TokenLogprob]) -> list[Entry]:
        """The first token has no score, and comes with the first delta."""
        is_first = not self._has_echoed and bool(self._echoed) and self._top is not None
        first: list[Entry] = [(self._echoed[0], None)] if is_first else []
        tokens = self._echoed[self._scored : self._scored + len(scores)]
        self._scored += len(tokens)
        return [*first, *zip(tokens, scores, strict=True)]

    def _logprobs(self, entries: Sequence[Entry]) -> CompletionLogprobs:
        tokens = [readable(self._codec.token_bytes(token)) for token, _ in entries]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        return CompletionLogprobs(
            tokens=tokens,
            token_logprobs=[score and max(score.logprob, LEAST_LOGPROB) for _, score in entries],
            top_logprobs=[self._likeliest(*entry) for entry in entries] if self._top else None,
            text_offset=offsets,
        )

    def _likeliest(self, token: int, score: TokenLogprob | None) -> dict[str, float] | None:
        """Of two tokens that read alike the likelier one is told."""
        if score is None:
            return None
        likeliest: dict[str, float] = {}
        for other, logprob in (*score.top, (token, score.logprob)):
            piece = readable(self._codec.token_bytes(other))
            likeliest.setdefault(piece, max(logprob, LEAST_LOGPROB))
        return likeliest
