"""Wire shape of a classification request."""

from typing import Annotated

from pydantic import Field

from service.api.chat.messages import ChatMessage
from service.api.wire import RequestBody
from service.core.text.messages import Message

MAX_INPUTS = 2048

Text = Annotated[str, Field(min_length=1)]


class Classify(RequestBody):
    """What is to be looked at."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | Annotated[list[ChatMessage], Field(min_length=1)]
    )
    """A text, several texts, or the messages of one conversation."""

    @property
    def inputs(self) -> list[str | list[Message]]:
        """One for each answer."""
        if isinstance(self.input, str):
            return [self.input]
        texts = [item for item in self.input if isinstance(item, str)]
        if texts:
            return list(texts)
        return [[item.to_message() for item in self.input if not isinstance(item, str)]]
