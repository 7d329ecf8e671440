"""Parameters that chat completions and completions share, and their way to the engine."""

import secrets
from abc import ABC, abstractmethod
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from service.api.chat.response_format import guide_of_schema
from service.api.wire import Metadata, RequestBody
from service.core.engine_protocol import Guide, Sampling
from service.core.errors import InvalidRequest

MAX_CHOICES = 8
_MAX_STOPS = 4
_SMALLEST_TOP_P = 1e-6
"""Stands for 0, which leaves the likeliest token alone."""

StopString = Annotated[str, Field(min_length=1, max_length=1000)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


def _as_strings(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


class StreamOptions(RequestBody):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Padding against guesses from the sizes of encrypted packets; there is none, which false
    asks for."""


class GenerationRequest(RequestBody, ABC):
    """How an answer is drawn. Those after `user` are vLLM's."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
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
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: (
        Annotated[
            dict[
                Annotated[str, Field(pattern=r"^[0-9]{1,9}$")],
                Annotated[float, Field(ge=-100, le=100)],
            ],
            Field(max_length=1024),
        ]
        | None
    ) = None
    """Token id → what is added to its logit."""
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: Metadata | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    """0 and -1 leave every token."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=64)] | None = None
    min_tokens: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    guided_json: dict[str, Any] | str | None = None
    """A JSON schema that the answer keeps to."""

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    @abstractmethod
    def reported_logprobs(self) -> int | None:
        """How many likeliest tokens are told with each; None tells no log-probabilities."""

    def guide(self) -> Guide | None:
        """What the answer must look like. Raises InvalidRequest."""
        return None if self.guided_json is None else guide_of_schema(self.guided_json)

    def check_sampling(self) -> None:
        """Raises InvalidRequest for parameters that contradict each other."""
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest(
                "'stream_options' belongs to a streamed answer: stream is not true.",
                param="stream_options",
            )
        if self.stream_options is not None and self.stream_options.include_obfuscation:
            raise InvalidRequest(
                "Streams here are not padded; leave 'include_obfuscation' out.",
                param="stream_options.include_obfuscation",
            )
        for param in ("ignore_eos", "min_tokens"):
            if getattr(self, param) and self.guide() is not None:
                raise InvalidRequest(
                    f"'{param}' contradicts a schema, which says where an answer ends.",
                    param=param,
                )

    def to_samplings(
        self,
        *,
        max_tokens: int,
        stop_token_ids: tuple[int, ...],
        guide: Guide | None = None,
        prompt_logprobs: bool = False,
    ) -> tuple[Sampling, ...]:
        """One for each choice; their seeds differ, or the choices would not. `stop_token_ids` are
        the model's own."""
        if (self.min_tokens or 0) > max_tokens:
            raise InvalidRequest(
                f"'min_tokens' is {self.min_tokens}, and the answer may have {max_tokens}.",
                param="min_tokens",
            )
        own_stops = () if self.ignore_eos else stop_token_ids
        seed = secrets.randbits(63) if self.seed is None else self.seed
        first = Sampling(
            max_tokens=max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else max(self.top_p, _SMALLEST_TOP_P),
            top_k=max(self.top_k or 0, 0),
            min_p=self.min_p or 0.0,
            stop_token_ids=(*own_stops, *(self.stop_token_ids or ())),
            min_tokens=self.min_tokens or 0,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            logit_bias={int(token): bias for token, bias in (self.logit_bias or {}).items()},
            top_logprobs=self.reported_logprobs,
            prompt_logprobs=prompt_logprobs,
            guide=guide,
        )
        return tuple(
            first.model_copy(update={"seed": (seed + index) % 2**63})
            for index in range(self.n or 1)
        )
