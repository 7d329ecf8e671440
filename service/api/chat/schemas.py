"""Wire shapes of chat completions, as they are answered."""

from collections.abc import Sequence
from typing import Any, Literal, Required, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import TypedDict

from service.api.chat.deltas import FinishReason
from service.api.chat.scores import ScoredToken, readable
from service.api.wire import Answer
from service.core.text import TextCodec

LEAST_LOGPROB = -9999.0
"""Stands for the logarithm of nothing, which JSON has no number for."""


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


class LikelyToken(Answer):
    """A token that could have stood at a position."""

    token: str
    logprob: float
    bytes: list[int]

    @classmethod
    def of(cls, codec: TextCodec, token: int, logprob: float) -> Self:
        piece = codec.token_bytes(token)
        return cls(token=readable(piece), logprob=max(logprob, LEAST_LOGPROB), bytes=list(piece))


class TokenScore(LikelyToken):
    """A token of the answer."""

    top_logprobs: list[LikelyToken] = Field([])


class Logprobs(Answer):
    """Log-probabilities of an answer's tokens."""

    content: list[TokenScore]
    refusal: None = None

    @classmethod
    def of(cls, codec: TextCodec, scores: Sequence[ScoredToken]) -> "Logprobs":
        return cls(
            content=[
                TokenScore.of(codec, token, score.logprob).model_copy(
                    update={"top_logprobs": [LikelyToken.of(codec, *top) for top in score.top]}
                )
                for token, score in scores
            ]
        )


class CalledFunction(Answer):
    """What the model calls, and with what."""

    name: str
    arguments: str


class ToolCall(Answer):
    """A call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AnswerMessage(Answer):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[ToolCall] | None = None
    function_call: CalledFunction | None = None
    """The old form of a call, for those who asked in the old form."""

    @model_serializer(mode="wrap")
    def _without_absent_calls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = handler(self)
        for name in ("tool_calls", "function_call"):
            if getattr(self, name) is None:
                body.pop(name, None)
        return body


class Choice(Answer):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
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


class FunctionDelta(TypedDict, total=False):
    """What a call grows by: its name once, then its arguments."""

    name: str
    arguments: str


class ToolCallDelta(TypedDict, total=False):
    """What one of the calls grows by; its id comes once."""

    index: Required[int]
    id: str
    type: Literal["function"]
    function: FunctionDelta


class Delta(TypedDict, total=False):
    """What the message grows by; members that are absent do not change."""

    role: Literal["assistant"]
    content: str
    refusal: None
    tool_calls: list[ToolCallDelta]
    function_call: FunctionDelta


class ChunkChoice(Answer):
    """One answer's growth."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
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
