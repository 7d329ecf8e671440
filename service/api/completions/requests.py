"""Wire shape of a completion request."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from service.api.chat.sampling import GenerationRequest, TokenId
from service.api.refusals import without
from service.core.engine_protocol import MAX_TOP_LOGPROBS
from service.core.errors import InvalidRequest, UnsupportedParameter

MAX_PROMPTS = 32
DEFAULT_TOKENS = 16

TextPrompt = Annotated[str, Field(min_length=1)]
TokenPrompt = Annotated[list[TokenId], Field(min_length=1)]

_HARMLESS: dict[str, tuple[object, ...]] = {"suffix": (None, "")}


def _as_prompts(prompt: object) -> object:
    """One prompt of text or of tokens, or several."""
    is_tokens = isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], int)
    return [prompt] if isinstance(prompt, str) or is_tokens else prompt


class CreateCompletion(GenerationRequest):
    """A text to be continued."""

    prompt: Annotated[
        list[TextPrompt | TokenPrompt],
        Field(min_length=1, max_length=MAX_PROMPTS),
        BeforeValidator(
            _as_prompts,
            json_schema_input_type=TextPrompt | TokenPrompt | list[TextPrompt] | list[TokenPrompt],
        ),
    ]
    """Special tokens are taken from token ids alone: in text they are letters."""
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    best_of: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, body: object) -> object:
        return without(_HARMLESS, body)

    def check_together(self) -> None:
        """Raises InvalidRequest for parameters that contradict each other."""
        self.check_sampling()
        choices = self.n or 1
        if self.best_of is not None and self.best_of > choices:
            raise UnsupportedParameter(
                f"'best_of' is {self.best_of} and 'n' is {choices}: answers that are drawn are "
                "answered here; ask for n and choose among them by their logprobs.",
                param="best_of",
            )
        if self.best_of is not None and self.best_of < choices:
            raise InvalidRequest("'best_of' cannot be less than 'n'.", param="best_of")
        if self.max_tokens == 0 and not self.echo:
            raise InvalidRequest(
                "'max_tokens' is 0, which is of use with echo: true only.", param="max_tokens"
            )

    @property
    def answer_limit(self) -> int:
        return DEFAULT_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def reported_logprobs(self) -> int | None:
        return self.logprobs

    @property
    def scores_prompts(self) -> bool:
        """Whether log-probabilities of the prompts are told."""
        return bool(self.echo) and self.logprobs is not None
