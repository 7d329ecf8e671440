"""Chat templates: jinja in a sandbox, rendered exactly as transformers does."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.meta import find_undeclared_variables

from service.core.errors import ChatTemplateError
from service.core.text.messages import Message, Tool, in_order, prepare
from service.core.text.sandbox import STEPS, ChatTemplateSandbox, Steps
from service.core.text.tool_format import tool_format_of

_MAX_TEMPLATE_CHARACTERS = 100_000
_REFUSALS = (TemplateError, TypeError, ValueError, KeyError, OverflowError, RecursionError)
"""What a template raises about messages that it was not written for."""


class ChatTemplate:
    """A compiled template. Rendering is pure and thread-safe."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Raises ChatTemplateError when the source is too large or does not compile."""
        if len(source) > _MAX_TEMPLATE_CHARACTERS:
            raise ChatTemplateError(
                f"The chat template has {len(source)} characters; the limit is "
                f"{_MAX_TEMPLATE_CHARACTERS}."
            )
        try:
            sandbox = ChatTemplateSandbox()
            self._template = sandbox.from_string(source)
            asked_for = find_undeclared_variables(sandbox.parse(source))
            self.takes_tools = "tools" in asked_for
            """Whether the template writes what it is given as tools."""
            self.takes_reasoning_effort = "reasoning_effort" in asked_for
            """Whether the template tells the model how long to reason."""
        except (TemplateError, RecursionError) as error:
            raise ChatTemplateError(f"The chat template does not compile: {error}") from error
        self._special_tokens = dict(special_tokens)
        self._knows_developer = "developer" in source
        self.tool_format = tool_format_of(source) if self.takes_tools else None
        """How its family writes calls; None for families that are not known here."""

    def prepare(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """OpenAI's messages as `render` takes them."""
        return prepare(messages, keep_developer=self._knows_developer)

    def render(
        self,
        prepared: Sequence[Message],
        *,
        tools: Sequence[Tool] | None = None,
        reasoning_effort: str | None = None,
        add_generation_prompt: bool,
    ) -> str:
        """Raises ChatTemplateError with the template's own reason."""
        try:
            return self._template.render(
                messages=list(prepared),
                tools=[in_order(tool) for tool in tools] if tools else None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                # the template's own default holds where nothing is said
                **({"reasoning_effort": reasoning_effort} if reasoning_effort else {}),
                **{STEPS: Steps()},
                **self._special_tokens,
            )
        except _REFUSALS as error:
            raise ChatTemplateError(
                f"The model's chat template refuses these messages: {error}. "
                "Check the order of roles and that every message has content.",
                param="messages",
            ) from error
