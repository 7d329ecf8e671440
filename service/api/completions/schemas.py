"""Wire shapes of completions, as they are answered."""

from typing import Literal

from pydantic import Field

from service.api.chat.schemas import Usage
from service.api.wire import Answer


class CompletionLogprobs(Answer):
    """Log-probabilities of a text's tokens, as four lists of one length."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """None for the first token of a prompt: nothing predicts it."""
    top_logprobs: list[dict[str, float] | None] | None
    """The likeliest at each position, and the token itself; None if none were asked for."""
    text_offset: list[int]
    """Where each token begins, in characters."""


class CompletionChoice(Answer):
    """One text."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None


class Completion(Answer):
    """Texts that go on, whole or a piece of a streamed answer."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = Field(None)
    """Of a streamed answer only in the last piece, and only if asked for."""
    system_fingerprint: str

    def to_event(self, *, with_usage: bool) -> str:
        """As a server-sent event."""
        body = self.model_dump_json(exclude=None if with_usage else {"usage"})
        return f"data: {body}\n\n"
