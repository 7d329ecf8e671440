"""From tools and the choice among them to what the template writes and the answer must be."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.tools import AllowedToolsChoice, Tool, ToolChoice, ToolReference
from service.core.engine_protocol import Guide
from service.core.errors import InvalidRequest, UnsupportedParameter
from service.core.text import TextCodec, ToolCallParser, ToolFormat

_MOST_GUIDED_CALLS = 8


@dataclass(frozen=True)
class ToolUse:
    """How the calls of one request are written and read."""

    form: ToolFormat
    written: tuple[dict[str, Any], ...]
    """Tools as the template takes them."""
    names: frozenset[str]
    limit: int | None
    """Calls an answer may make; None: any number."""
    guide: Guide | None
    """Set where a call is demanded, and where arguments are strict."""

    def new_parser(self) -> ToolCallParser:
        return ToolCallParser(self.form, self.names, limit=self.limit)


def plan_tools(request: CreateChatCompletion, codec: TextCodec) -> ToolUse | None:
    """None where no tool can be called. Raises UnsupportedParameter, InvalidRequest."""
    offered, choice = request.offered_tools, request.chosen_tool
    if offered is None:
        if choice not in (None, "none", "auto"):
            raise InvalidRequest("'tool_choice' needs tools to choose from.", param="tool_choice")
        return None
    named = "functions" if request.answers_in_old_form else "tools"
    form = _form_of(codec, named)
    if choice == "none":
        return None
    tools, is_demanded = _choose(offered, choice)
    if request.guide() is not None:
        raise UnsupportedParameter(
            "An answer that is kept to a schema cannot call tools; leave out the tools, or say "
            "tool_choice: none.",
            param=named,
        )
    is_single = request.parallel_tool_calls is False or request.answers_in_old_form
    limit = 1 if is_single else None
    return ToolUse(
        form=form,
        written=tuple(tool.model_dump(exclude_none=True) for tool in offered),
        names=frozenset(tool.function.name for tool in tools),
        limit=limit,
        guide=_guide(form, tools, codec, limit, is_optional=not is_demanded),
    )


def _form_of(codec: TextCodec, param: str) -> ToolFormat:
    if codec.tool_format is None:
        why = (
            "writes calls in a form that is not known here"
            if codec.takes_tools
            else "has no place for them"
        )
        raise UnsupportedParameter(
            f"This model cannot call tools: its chat template {why}.", param=param
        )
    return codec.tool_format


def _choose(tools: Sequence[Tool], choice: ToolChoice | None) -> tuple[list[Tool], bool]:
    """The tools that may be called, and whether one must be. Raises InvalidRequest."""
    if isinstance(choice, ToolReference):
        return _named(tools, [choice]), True
    if isinstance(choice, AllowedToolsChoice):
        allowed = choice.allowed_tools
        return _named(tools, allowed.tools), allowed.mode == "required"
    return list(tools), choice == "required"


def _named(tools: Sequence[Tool], references: Sequence[ToolReference]) -> list[Tool]:
    known = {tool.function.name: tool for tool in tools}
    for reference in references:
        if reference.function.name not in known:
            raise InvalidRequest(
                f"'tool_choice' names {reference.function.name!r}, which is not among the tools.",
                param="tool_choice",
            )
    return [known[reference.function.name] for reference in references]


def _guide(
    form: ToolFormat,
    tools: Sequence[Tool],
    codec: TextCodec,
    limit: int | None,
    *,
    is_optional: bool,
) -> Guide | None:
    """A demanded call keeps to its schema whether strict or not; of others those that are strict
    do, and beside them the rest are calls of any arguments."""
    if is_optional:
        if not any(tool.function.strict for tool in tools):
            return None
        tools = [tool if tool.function.strict else _loose(tool) for tool in tools]
    opening = codec.control_token(form.opening) if form.opening else None
    return Guide(
        json_schema=_calls_schema(form, tools, limit),
        opening_token=opening,
        before=("" if opening is not None else form.opening) + form.padding,
        after=(form.padding + form.closing) if form.closing else "",
        is_optional=is_optional,
        param="tools",
    )


def _loose(tool: Tool) -> Tool:
    function = tool.function.model_copy(update={"parameters": None})
    return tool.model_copy(update={"function": function})


def _calls_schema(form: ToolFormat, tools: Sequence[Tool], limit: int | None) -> str:
    """A call of one of the tools, or an array of calls."""
    try:
        return json.dumps(_calls(form, tools, limit or _MOST_GUIDED_CALLS))
    except RecursionError as error:
        raise InvalidRequest("The parameters are nested too deeply.", param="tools") from error


def _calls(form: ToolFormat, tools: Sequence[Tool], most: int) -> dict[str, Any]:
    root = "#/items" if form.is_list else "#"
    call = {
        "anyOf": [
            _call_schema(form, tool, f"{root}/anyOf/{index}") for index, tool in enumerate(tools)
        ]
    }
    if not form.is_list:
        return call
    return {"type": "array", "items": call, "minItems": 1, "maxItems": most}


def _call_schema(form: ToolFormat, tool: Tool, place: str) -> dict[str, Any]:
    name = form.arguments_name
    parameters = _moved(tool.function.parameters, f"{place}/properties/{name}")
    arguments = parameters or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.function.name}, name: arguments},
        "required": ["name", name],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """A copy whose references into itself are right when it stands at `place` of another."""
    if isinstance(schema, dict):
        moved = {key: _moved(value, place) for key, value in schema.items()}
        reference = moved.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            moved["$ref"] = place + reference[1:]
        return moved
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    return schema
