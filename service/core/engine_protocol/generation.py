"""Serving over the wire: requests in, one frame per decode step out."""

from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.models import ErrorBody, Message, ModelRef

FinishReason = Literal["stop", "length", "abort", "error"]


class Sampling(Message):
    """How tokens are drawn. temperature 0 is greedy; the seed fixes every draw of the stream."""

    max_tokens: int = Field(ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=0, le=2**63 - 1)
    stop_token_ids: tuple[int, ...] = ()
    """Generation ends with one of these; it is not part of the answer's tokens."""


class AddRequest(Message):
    """Start a stream."""

    op: Literal["add"] = "add"
    request: str
    """Chosen by the caller, unique per connection."""
    tenant: str
    """Project id: part of every cache key."""
    model: ModelRef
    tokens: tuple[int, ...] = Field(min_length=1)
    sampling: Sampling


class AbortRequest(Message):
    """End a stream; a stream that already ended is no error."""

    op: Literal["abort"] = "abort"
    request: str


ClientFrame = Annotated[AddRequest | AbortRequest, Field(discriminator="op")]


class StreamTokens(Message):
    request: str
    tokens: tuple[int, ...]


class FinishedStream(Message):
    request: str
    reason: FinishReason
    error: ErrorBody | None = None
    """Set exactly when the reason is `error`."""


class StepFrame(Message):
    """What one step of the engine produced for this connection."""

    tokens: tuple[StreamTokens, ...] = ()
    finished: tuple[FinishedStream, ...] = ()
