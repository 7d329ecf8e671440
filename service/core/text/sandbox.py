"""The jinja environment that model authors write chat templates for, with limits.

A template comes with a base, which the operator chose, so it is mistaken rather than hostile: the
sandbox keeps it away from the process, and an endless loop or an absurd repetition ends in an
error. It may still build a large text by other means.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

STEPS = "_steps"
"""Name under which a rendering's `Steps` travel in its context."""
_MAX_STEPS = 5_000_000
"""Turns of loops in one rendering: about a second of time, and hundreds for each message."""
_STEPS_A_CALL = 50
"""How much longer a call takes than the turn of a loop."""
_MAX_PRODUCT = 1_000_000
_COUNTED = "_counted"


class Steps:
    """What one rendering may still do."""

    def __init__(self, limit: int = _MAX_STEPS) -> None:
        self._left = limit

    def take(self, number: int = 1) -> None:
        """Raises TemplateError when there are none left."""
        self._left -= number
        if self._left < 0:
            raise TemplateError("it runs for too long")


class ChatTemplateSandbox(ImmutableSandboxedEnvironment):
    """Filters and functions as in transformers; every loop turn and every call is counted."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
        )
        self.filters["tojson"] = _to_json
        self.filters[_COUNTED] = _counted
        self.globals["raise_exception"] = _raise
        self.globals["strftime_now"] = _strftime_now

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        for loop in template.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        return template

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        context[STEPS].take(_STEPS_A_CALL)
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            _refuse_large_product(left, right)
            _refuse_large_product(right, left)
        elif abs(right) > 64:
            raise TemplateError(f"the power {right} is too large")
        return super().call_binop(context, operator, left, right)


class _GenerationBlocks(Extension):
    """`{% generation %}…{% endgeneration %}` marks assistant text in some templates; our spans
    come from message prefixes, so the tags are transparent."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@pass_context
def _counted(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    steps: Steps = context[STEPS]
    for value in values:
        steps.take()
        yield value


def _refuse_large_product(sequence: Any, times: Any) -> None:
    repeats = isinstance(sequence, str | list | tuple) and isinstance(times, int)
    if repeats and len(sequence) * times > _MAX_PRODUCT:
        raise TemplateError(f"it repeats a text {times} times")


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
