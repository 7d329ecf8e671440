"""Serving over the wire: requests in, one frame per decode step out."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.models import ErrorBody, Message, ModelRef

FinishReason = Literal["stop", "length", "abort", "error"]


MAX_TOP_LOGPROBS = 20


class Guide(Message):
    """What an answer must look like: one JSON value, and what stands around it."""

    json_schema: str
    """JSON text of the schema that the value keeps to."""
    opening_token: int | None = None
    """A control token that comes first."""
    before: str = ""
    after: str = ""
    is_optional: bool = False
    """The answer may be any text, in which this form holds from wherever it begins."""
    param: str = "response_format"
    """The caller's name for it, where it is refused."""


class Sampling(Message):
    """How tokens are drawn. temperature 0 is greedy; the seed fixes every draw of the stream.

    The logits go through the penalties, the biases, the guide's mask, the temperature, min_p,
    top_k and top_p, in this order.
    """

    max_tokens: int = Field(ge=0)
    """0 draws nothing: the stream ends when its prompt is computed."""
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """0 leaves every token."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Tokens less likely than this share of the likeliest one are left out."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    stop_token_ids: tuple[int, ...] = ()
    """Generation ends with one of these; it is not part of the answer's tokens."""
    min_tokens: int = Field(0, ge=0)
    """Before so many tokens no stop token is drawn."""
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken from the logit of every token that the answer holds …"""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """… and this as often as the answer holds it."""
    repetition_penalty: float = Field(1.0, gt=0, le=100)
    """Divides positive and multiplies negative logits of tokens in prompt and answer."""
    logit_bias: dict[int, float] = Field({})
    """Added to the logits of these tokens."""
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    """Report each token's log-probability, and of so many likeliest; None reports nothing."""
    prompt_logprobs: bool = False
    """Report those of the prompt's tokens too."""
    guide: Guide | None = None


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


class TokenLogprob(Message):
    """A token's log-probability among all tokens, before anything was done to the logits."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens of the position and theirs, likeliest first."""


class StreamTokens(Message):
    """What a stream has grown by."""

    request: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    """One for each token, if they were asked for."""
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    """Of the prompt's next tokens, which begin with its second: nothing predicts the first."""

    @classmethod
    def join(cls, parts: Sequence["StreamTokens"]) -> "StreamTokens":
        """Several messages of one stream as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            request=parts[0].request,
            tokens=tuple(token for part in parts for token in part.tokens),
            logprobs=tuple(entry for part in parts for entry in part.logprobs),
            prompt_logprobs=tuple(entry for part in parts for entry in part.prompt_logprobs),
        )


class FinishedStream(Message):
    request: str
    reason: FinishReason
    error: ErrorBody | None = None
    """Set exactly when the reason is `error`."""


class StepFrame(Message):
    """What one step of the engine produced for this connection."""

    tokens: tuple[StreamTokens, ...] = ()
    finished: tuple[FinishedStream, ...] = ()
