"""Wire shapes of the form that an answer must have."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from service.api.wire import RequestBody
from service.core.engine_protocol import Guide
from service.core.errors import InvalidRequest

_ANY_OBJECT = {"type": "object"}


class TextFormat(RequestBody):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(RequestBody):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(RequestBody):
    """A schema and what it is called."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=False)

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    content: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None
    """Answers keep to the schema either way."""


class JsonSchemaFormat(RequestBody):
    """JSON that keeps to a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


def guide_of_format(form: ResponseFormat | None) -> Guide | None:
    """None where any text will do. Raises InvalidRequest."""
    if isinstance(form, JsonObjectFormat):
        return Guide(json_schema=json.dumps(_ANY_OBJECT))
    if isinstance(form, JsonSchemaFormat):
        schema = form.json_schema.content
        return Guide(json_schema=as_json(_ANY_OBJECT if schema is None else schema))
    return None


def guide_of_schema(schema: dict[str, Any] | str) -> Guide:
    """vLLM's `guided_json`: a schema, or its JSON text. Raises InvalidRequest."""
    text = schema if isinstance(schema, str) else as_json(schema, param="guided_json")
    return Guide(json_schema=text, param="guided_json")


def as_json(schema: dict[str, Any], *, param: str = "response_format") -> str:
    """Raises InvalidRequest for a schema that is nested too deeply to be written."""
    try:
        return json.dumps(schema)
    except RecursionError as error:
        raise InvalidRequest("The schema is nested too deeply.", param=param) from error
