"""Wire shape of a chat completion request, and its way to the engine."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from service.api.wire import Metadata, RequestBody
from service.core.engine_protocol import Sampling
from service.core.errors import InvalidRequest
from service.core.text.messages import Message

MAX_CHOICES = 8
_MAX_STOPS = 4
_SMALLEST_TOP_P = 1e-6
"""Stands for 0, which leaves the likeliest token alone."""

_HARMLESS: dict[str, tuple[object, ...]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none", "auto"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "parallel_tool_calls": (None, True, False),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "prompt_cache_key": (None,),
    "prompt_cache_retention": (None,),
    "reasoning_effort": (None,),
    "response_format": (None, {"type": "text"}),
    "service_tier": (None, "auto", "default"),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
"""Parameters that are not done here, with the values that ask for nothing."""

_HARMLESS_IN_MESSAGES: dict[str, tuple[object, ...]] = {
    "annotations": (None, []),
    "audio": (None,),
    "function_call": (None,),
    "refusal": (None,),
    "tool_calls": (None, []),
}
"""Members of an answer's message, which callers send back as they got it."""


def _without(harmless: Mapping[str, tuple[object, ...]], body: object) -> object:
    if not isinstance(body, dict):
        return body
    return {
        name: value
        for name, value in body.items()
        if not (name in harmless and value in harmless[name])
    }


class TextPart(RequestBody):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class ChatMessage(RequestBody):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[TextPart],
        Field(min_length=1),
        BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart]),
    ]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, body: object) -> object:
        return _without(_HARMLESS_IN_MESSAGES, body)

    def to_message(self) -> Message:
        """As chat templates take it."""
        text = "".join(part.text for part in self.content)
        named = {} if self.name is None else {"name": self.name}
        return {"role": self.role, "content": text, **named}


class StreamOptions(RequestBody):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


StopString = Annotated[str, Field(min_length=1, max_length=1000)]


def _as_strings(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


class CreateChatCompletion(RequestBody):
    """A conversation to be continued."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: (
        Annotated[
            list[StopString],
            Field(max_length=_MAX_STOPS),
            BeforeValidator(_as_strings, json_schema_input_type=StopString | list[StopString]),
        ]
        | None
    ) = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The old name of `max_completion_tokens`."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, body: object) -> object:
        return _without(_HARMLESS, body)

    def check_together(self) -> None:
        """Raises InvalidRequest for parameters that contradict each other."""
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise InvalidRequest(
                "'max_tokens' is the old name of 'max_completion_tokens'; give one of them.",
                param="max_tokens",
            )
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest(
                "'stream_options' belongs to a streamed answer: stream is not true.",
                param="stream_options",
            )

    @property
    def answer_limit(self) -> int | None:
        """Tokens an answer may have at most, if the caller says so."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def to_samplings(
        self, *, max_tokens: int, stop_token_ids: tuple[int, ...]
    ) -> tuple[Sampling, ...]:
        """One for each choice; their seeds differ, or the choices would not."""
        seed = secrets.randbits(63) if self.seed is None else self.seed
        return tuple(
            Sampling(
                max_tokens=max_tokens,
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else max(self.top_p, _SMALLEST_TOP_P),
                seed=(seed + index) % 2**63,
                stop_token_ids=stop_token_ids,
            )
            for index in range(self.n or 1)
        )
