"""What every resource's wire shapes share."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_METADATA_PAIRS = 16


class RequestBody(BaseModel):
    """A JSON body: types as they are written, and an unknown field is refused by its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(frozen=True)


class ErrorBody(Answer):
    """Why a request failed."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Answer):
    """The body of every answer that is not a success."""

    error: ErrorBody


def _within_bounds(pairs: dict[str, str]) -> dict[str, str]:
    for name, value in pairs.items():
        if len(name) > 64 or len(value) > 512:
            raise PydanticCustomError(
                "metadata_too_long",
                "a key has at most 64 characters and a value at most 512",
            )
    return pairs


Metadata = Annotated[
    dict[str, str], Field(max_length=MAX_METADATA_PAIRS), AfterValidator(_within_bounds)
]
Order = Literal["asc", "desc"]


EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One server-sent event.",
                    "properties": {
                        "data": {"type": "string"},
                        "event": {"type": "string"},
                        "id": {"type": "string"},
                    },
                    "required": ["data"],
                }
            }
        }
    }
}
"""What an operation may answer beside JSON, as its `responses`."""
