"""Wire shapes of tools that a model may call, and of the choice among them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from service.api.refusals import refusing
from service.api.wire import RequestBody

MAX_TOOLS = 128
_ONLY_FUNCTIONS = refusing({"custom": "Only functions can be called here."})
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]


class Function(RequestBody):
    """A function as the model sees it."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments; none: an object of any kind."""
    strict: bool | None = None


class Tool(RequestBody):
    """Something the model may call."""

    type: Annotated[Literal["function"], _ONLY_FUNCTIONS]
    function: Function


class FunctionReference(RequestBody):
    """A function by its name."""

    name: FunctionName


class ToolReference(RequestBody):
    """The tool that must be called."""

    type: Annotated[Literal["function"], _ONLY_FUNCTIONS]
    function: FunctionReference


class AllowedTools(RequestBody):
    """Some of the tools, and whether one must be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedToolsChoice(RequestBody):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | ToolReference | AllowedToolsChoice
