"""Wire shapes of a conversation's messages."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.refusals import refusing, without
from service.api.wire import RequestBody
from service.core.text.messages import Message

_HARMLESS: dict[str, tuple[object, ...]] = {
    "annotations": (None, []),
    "audio": (None,),
    "function_call": (None,),
    "refusal": (None,),
    "tool_calls": (None, []),
}
"""Members of an answer's message, which callers send back as they got it."""
_NO_IMAGES = "Models here read text only; leave images out."
_OTHER_PARTS = {
    "image_url": _NO_IMAGES,
    "input_audio": "Models here read text only; leave audio out.",
    "file": "Models here read text only; send a file's text.",
    "refusal": "Send a refusal as text.",
}


class TextPart(RequestBody):
    """A piece of a message's text."""

    type: Annotated[Literal["text"], refusing(_OTHER_PARTS)]
    text: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Content = Annotated[
    list[TextPart],
    Field(min_length=1),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart]),
]


class _ChatMessage(RequestBody):
    role: str
    content: Content | None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, body: object) -> object:
        return without(_HARMLESS, body)

    def to_message(self) -> Message:
        """As chat templates take it."""
        message: dict[str, Any] = self.model_dump(exclude_none=True)
        if self.content is not None:
            message["content"] = "".join(part.text for part in self.content)
        return message


class InstructionMessage(_ChatMessage):
    """What the developer says."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(_ChatMessage):
    """What the user says."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(RequestBody):
    """A function that the model called."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str
    """JSON text."""


class ToolCall(RequestBody):
    """A call that the model made."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Annotated[Literal["function"], refusing({"custom": "Only functions can be called here."})]
    function: CalledFunction


class AssistantMessage(_ChatMessage):
    """What the model said."""

    role: Literal["assistant"]
    content: Content | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None
    function_call: CalledFunction | None = None
    """The old form of a single call."""

    @model_validator(mode="after")
    def _says_something(self) -> "AssistantMessage":
        if self.content is None and not self.makes_calls:
            raise PydanticCustomError("silent", "it needs content or tool_calls")
        return self

    @property
    def makes_calls(self) -> bool:
        return self.tool_calls is not None or self.function_call is not None


class ToolMessage(_ChatMessage):
    """What a tool answered."""

    role: Literal["tool"]
    content: Content
    tool_call_id: Annotated[str, Field(min_length=1, max_length=256)]


class FunctionMessage(_ChatMessage):
    """What a function answered: the old form of a tool's message."""

    role: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    content: Content


ChatMessage = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]
