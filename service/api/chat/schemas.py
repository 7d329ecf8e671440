"""Wire shapes of chat completions, as they are answered."""

from typing import Literal

from typing_extensions import TypedDict

from service.api.chat.deltas import FinishReason
from service.api.wire import Answer


class Usage(Answer):
    """Tokens; of several choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, *, prompt: int, completion: int) -> "Usage":
        return cls(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        )


class AnswerMessage(Answer):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Answer):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletion(Answer):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str


class Delta(TypedDict, total=False):
    """What the message grows by; members that are absent do not change."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChunkChoice(Answer):
    """One answer's growth."""

    index: int
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(Answer):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    """Only in the last chunk, and only if asked for."""

    def to_event(self, *, with_usage: bool) -> str:
        """As a server-sent event. A caller that asks for usage finds the member in every chunk."""
        body = self.model_dump_json(exclude=None if with_usage else {"usage"})
        return f"data: {body}\n\n"
