"""Wire shape of a classification request."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.chat.messages import ChatMessage
from service.api.chat.tools import MAX_TOOLS
from service.api.wire import RequestBody
from service.core.datasets import BadLine, read_tools
from service.core.text.messages import Message

MAX_INPUTS = 2048

Text = Annotated[str, Field(min_length=1)]
Conversation = Annotated[list[ChatMessage], Field(min_length=1)]


class Classify(RequestBody):
    """What is to be looked at."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | Conversation
        | Annotated[list[Conversation], Field(min_length=1, max_length=MAX_INPUTS)]
    )
    """A text, several texts, the messages of one conversation, or several conversations."""
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_TOOLS)] | None = None
    """Those that every conversation had, written as in the rows of the training."""

    @model_validator(mode="after")
    def _check_tools(self) -> Self:
        if self.tools is None:
            return self
        if isinstance(self.inputs[0], str):
            raise PydanticCustomError("tools_of_text", "only a conversation has 'tools'")
        try:
            read_tools({"tools": self.tools})
        except BadLine as bad:
            raise PydanticCustomError("wrong_tools", "{problem}", {"problem": str(bad)}) from None
        return self

    @property
    def inputs(self) -> list[str | list[Message]]:
        """One for each answer."""
        if isinstance(self.input, str):
            return [self.input]
        messages = [item for item in self.input if not isinstance(item, str | list)]
        if messages:
            return [_conversation(messages)]
        return [
            item if isinstance(item, str) else _conversation(item)
            for item in self.input
            if isinstance(item, str | list)
        ]


def _conversation(messages: Iterable[ChatMessage]) -> list[Message]:
    return [message.to_message() for message in messages]
