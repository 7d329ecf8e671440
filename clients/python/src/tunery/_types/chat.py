"""Chat completions, whole and in chunks."""

from typing import Any

from tunery._types.base import APIObject


class Usage(APIObject):
    """Tokens of one completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(APIObject):
    """What the model said."""

    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(APIObject):
    """One answer."""

    index: int
    message: ChatMessage
    finish_reason: str | None = None


class ChatCompletion(APIObject):
    """A whole answer."""

    id: str
    model: str
    created: int
    choices: list[ChatChoice]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """Content of the first answer."""
        return self.choices[0].message.content or ""


class ChatDelta(APIObject):
    """What a chunk adds."""

    role: str | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChunkChoice(APIObject):
    """One answer's share of a chunk."""

    index: int
    delta: ChatDelta
    finish_reason: str | None = None


class ChatCompletionChunk(APIObject):
    """A piece of a streamed answer."""

    id: str
    model: str
    created: int
    choices: list[ChatChunkChoice]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What the chunk adds to the first answer."""
        return (self.choices[0].delta.content or "") if self.choices else ""
