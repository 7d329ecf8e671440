"""One base's text: everything between messages and token ids."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from service.core.errors import ChatTemplateError
from service.core.text.assets import TextAssets
from service.core.text.guard import SpecialTokenGuard, plain_tokenizer
from service.core.text.messages import Message, Tool
from service.core.text.spans import TrainingTokens, assistant_spans, message_weight, weigh
from service.core.text.stream import TokenStream
from service.core.text.template import ChatTemplate
from service.core.text.token_bytes import TokenBytes
from service.core.text.tool_format import ToolFormat


class TextCodec:
    """Built once a base; thread-safe."""

    def __init__(self, assets: TextAssets) -> None:
        self._tokenizer = plain_tokenizer(assets.tokenizer_json)
        self._guard = SpecialTokenGuard(assets.tokenizer_json)
        self._assets = assets
        self._template = (
            ChatTemplate(assets.chat_template, assets.special_tokens)
            if assets.chat_template
            else None
        )
        self.stop_token_ids = assets.eos_token_ids

    def encode(self, text: str) -> list[int]:
        """Ids of trusted text: special-token strings in it become special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_text(self, text: str) -> list[int]:
        """Ids of a user's raw text, beginning with BOS if the base wants it."""
        return self._bos() + self._guard.encode(self._guard.protect(text)).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of an answer; special tokens are left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def render_chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The conversation as the model's template writes it. Raises ChatTemplateError."""
        template = self._chat_template()
        return template.render(
            template.prepare(messages), tools=tools, add_generation_prompt=add_generation_prompt
        )

    def encode_chat_prompt(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] | None = None,
        reasoning_effort: str | None = None,
    ) -> list[int]:
        """Ids of the conversation up to where the assistant begins. Raises ChatTemplateError."""
        rendered = self._chat_template().render(
            self._prepared(messages),
            tools=self._guard.protect(tools),
            reasoning_effort=reasoning_effort,
            add_generation_prompt=True,
        )
        return self._guard.encode(rendered).ids

    def encode_judged(
        self, given: str | Sequence[Message], *, tools: Sequence[Tool] | None = None
    ) -> list[int]:
        """Ids of what a head looks at, in training and serving alike: a text, or a conversation
        that is over. Raises ChatTemplateError."""
        if isinstance(given, str):
            return self.encode_text(given)
        rendered = self._chat_template().render(
            self._prepared(given), tools=self._guard.protect(tools), add_generation_prompt=False
        )
        return self._guard.encode(rendered).ids

    def training_row(
        self, messages: Sequence[Message], *, tools: Sequence[Tool] | None = None
    ) -> TrainingTokens:
        """Tokens and loss weights of a conversation: only what the assistant says is trained, and
        its end of turn, times the message's `weight` (0 or 1, 1 if absent).

        Raises ChatTemplateError, TemplateNotPrefixStable.
        """
        rendered, spans = assistant_spans(
            self._chat_template(),
            self._prepared(messages),
            [message_weight(message) for message in messages],
            self._guard.protect(tools),
        )
        return weigh(rendered, self._guard.encode(rendered), spans)

    def completion_row(self, prompt: str, completion: str) -> TrainingTokens:
        """Tokens of a prompt/completion row: the completion and the end of text are trained."""
        context = self.encode_text(prompt)
        answer = self._guard.encode(self._guard.protect(completion)).ids + self._eos()
        weights = (0.0,) * len(context) + (1.0,) * len(answer)
        if not context:
            weights = (0.0, *weights[1:])
        return TrainingTokens((*context, *answer), weights)

    def special_token_in(self, value: Any) -> str | None:
        """The first string within messages or texts that looks like a special token of the model;
        it will not become one."""
        return self._guard.first_in(value)

    def new_stream(
        self, *, stop: Sequence[str] = (), visible: Mapping[int, str] | None = None
    ) -> TokenStream:
        """A detokeniser for one answer; of control tokens only those in `visible` give text."""
        return TokenStream(self._tokenizer, stop, visible)

    def token_bytes(self, token: int) -> bytes:
        """What a single token stands for."""
        return self._token_bytes.of(token)

    def control_token(self, text: str) -> int | None:
        """The id of the special token that is written so, if there is one."""
        for token_id, added in self._tokenizer.get_added_tokens_decoder().items():
            if added.special and added.content == text:
                return token_id
        return None

    @property
    def takes_tools(self) -> bool:
        """Whether the model's template writes tools."""
        return self._template is not None and self._template.takes_tools

    @property
    def takes_reasoning_effort(self) -> bool:
        """Whether the model's template tells it how long to reason."""
        return self._template is not None and self._template.takes_reasoning_effort

    @property
    def tool_format(self) -> ToolFormat | None:
        """How the model calls tools, if its family is known."""
        return self._template.tool_format if self._template else None

    @cached_property
    def _token_bytes(self) -> TokenBytes:
        return TokenBytes(self._assets.tokenizer_json, self._tokenizer)

    def _chat_template(self) -> ChatTemplate:
        if self._template is None:
            raise ChatTemplateError(
                "This model has no chat template, so it takes prompt/completion rows only.",
                param="messages",
            )
        return self._template

    def _prepared(self, messages: Sequence[Message]) -> list[Message]:
        """Ready to render. Protected last: joining parts or unescaping JSON may only then make a
        special token's string whole."""
        protected: list[Message] = self._guard.protect(self._chat_template().prepare(messages))
        return protected

    def _bos(self) -> list[int]:
        return self._special("bos_token") if self._assets.add_bos else []

    def _eos(self) -> list[int]:
        return self._special("eos_token")

    def _special(self, name: str) -> list[int]:
        token = self._assets.special_tokens.get(name)
        token_id = self._tokenizer.token_to_id(token) if token else None
        return [] if token_id is None else [token_id]
