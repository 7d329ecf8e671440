"""Wire shape of a chat completion request."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from service.api.chat.messages import ChatMessage
from service.api.chat.response_format import ResponseFormat, TextFormat, guide_of_format
from service.api.chat.sampling import MAX_CHOICES, GenerationRequest
from service.api.chat.tools import (
    MAX_TOOLS,
    Function,
    FunctionReference,
    Tool,
    ToolChoice,
    ToolReference,
)
from service.api.refusals import without
from service.core.engine_protocol import MAX_TOP_LOGPROBS, Guide
from service.core.errors import InvalidRequest

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
__all__ = ["MAX_CHOICES", "CreateChatCompletion"]

_HARMLESS: dict[str, tuple[object, ...]] = {
    "audio": (None,),
    "functions": (None, []),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "prediction": (None,),
    "prompt_cache_retention": (None, "in_memory"),
    "service_tier": (None, "auto", "default"),
    "tools": (None, []),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
"""Parameters that are not done here, with the values that ask for nothing."""


class CreateChatCompletion(GenerationRequest):
    """A conversation to be continued."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The old name of `max_completion_tokens`."""
    store: bool | None = None
    """Whether the answer is kept for the operations of stored completions."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """Whether an answer may call more than one tool; it may if nothing is said."""
    functions: Annotated[list[Function], Field(min_length=1, max_length=MAX_TOOLS)] | None = None
    """The old form of `tools`."""
    function_call: Literal["none", "auto"] | FunctionReference | None = None
    """The old form of `tool_choice`."""
    reasoning_effort: ReasoningEffort | None = None
    """For models whose template has a place for it."""
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    """A hint for caches that this server has not got; it changes no answer."""

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, body: object) -> object:
        return without(_HARMLESS, body)

    def check_together(self) -> None:
        """Raises InvalidRequest for parameters that contradict each other."""
        self.check_sampling()
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise InvalidRequest(
                "'max_tokens' is the old name of 'max_completion_tokens'; give one of them.",
                param="max_tokens",
            )
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest("'top_logprobs' needs logprobs: true.", param="top_logprobs")
        for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
            if getattr(self, old) is not None and (self.tools or self.tool_choice) is not None:
                raise InvalidRequest(f"'{old}' is the old form of '{new}'; use that.", param=old)
        if self.guided_json is not None and self.has_format:
            raise InvalidRequest(
                "'guided_json' and 'response_format' both say what the answer looks like; give "
                "one of them.",
                param="guided_json",
            )

    @property
    def offered_tools(self) -> list[Tool] | None:
        """In whichever form they came."""
        if self.functions is None:
            return self.tools
        return [Tool(type="function", function=function) for function in self.functions]

    @property
    def chosen_tool(self) -> ToolChoice | None:
        """In whichever form it came."""
        if isinstance(self.function_call, FunctionReference):
            return ToolReference(type="function", function=self.function_call)
        return self.function_call or self.tool_choice

    @property
    def answers_in_old_form(self) -> bool:
        """Whether a call is answered as `function_call`."""
        return self.functions is not None

    @property
    def has_format(self) -> bool:
        """Whether the answer must have a form."""
        return not isinstance(self.response_format, TextFormat | None)

    @property
    def answer_limit(self) -> int | None:
        """Tokens an answer may have at most, if the caller says so."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def reported_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    def guide(self) -> Guide | None:
        return guide_of_format(self.response_format) or super().guide()
