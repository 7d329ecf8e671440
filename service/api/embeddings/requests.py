"""Wire shape of an embedding request."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.wire import RequestBody

MAX_ROWS = 2048

Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MAX_ROWS)]


class CreateEmbeddings(RequestBody):
    """What is to be embedded."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_ROWS)]
        | Tokens
        | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_ROWS)]
    )
    """Token ids are those of the model's own tokenizer, without special tokens."""
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None

    @property
    def rows(self) -> list[str | list[int]]:
        """One for each vector."""
        if isinstance(self.input, str):
            return [self.input]
        tokens = [item for item in self.input if isinstance(item, int)]
        if tokens:
            return [tokens]
        return [item for item in self.input if not isinstance(item, int)]
