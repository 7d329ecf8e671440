"""Chat templates: jinja in a sandbox, with the environment that model authors write for."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.core.errors import ChatTemplateError

Message = Mapping[str, Any]
Tool = Mapping[str, Any]

_MAX_TEMPLATE_CHARACTERS = 100_000


class _GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks assistant text in some templates; our spans
    come from message prefixes, so the tags are transparent."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike jinja2's own filter, no HTML escaping: the reader is a tokenizer."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)


class ChatTemplate:
    """A compiled template. Rendering is pure and thread-safe."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Raises ChatTemplateError when the source is too large or does not compile."""
        if len(source) > _MAX_TEMPLATE_CHARACTERS:
            raise ChatTemplateError(
                f"The chat template has {len(source)} characters; the limit is "
                f"{_MAX_TEMPLATE_CHARACTERS}."
            )
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _strftime_now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ChatTemplateError(f"The chat template does not compile: {error}") from error
        self._special_tokens = dict(special_tokens)
        self._knows_developer = "developer" in source

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] | None = None,
        add_generation_prompt: bool,
    ) -> str:
        """Raises ChatTemplateError with the template's own reason."""
        try:
            return self._template.render(
                messages=[self._prepare(message) for message in messages],
                tools=list(tools) if tools else None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        except (TemplateError, TypeError, ValueError, KeyError, OverflowError) as error:
            raise ChatTemplateError(
                f"The model's chat template refuses these messages: {error}. "
                "Check the order of roles and that every message has content.",
                param="messages",
            ) from error

    def _prepare(self, message: Message) -> dict[str, Any]:
        """OpenAI's shape to what templates expect: text content, tool arguments as objects."""
        prepared = {key: value for key, value in message.items() if key != "weight"}
        if prepared.get("role") == "developer" and not self._knows_developer:
            prepared["role"] = "system"
        content = prepared.get("content")
        if isinstance(content, list):
            prepared["content"] = "".join(str(part.get("text", "")) for part in content)
        elif content is None:
            prepared["content"] = ""
        if prepared.get("tool_calls"):
            prepared["tool_calls"] = [_with_parsed_arguments(c) for c in prepared["tool_calls"]]
        return prepared


def _with_parsed_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function", {}))
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            function["arguments"] = json.loads(arguments)
        except ValueError:
            function["arguments"] = arguments
    return {**call, "function": function}
