"""What a line of a data set means, for each way to train."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core.domain.methods import MethodType

Message = Mapping[str, Any]
Tool = Mapping[str, Any]


class RowKind(StrEnum):
    """What a training method's rows are."""

    CONVERSATION = "conversation"
    """ChatRow or CompletionRow, one of them in the whole file."""
    PREFERENCE = "preference"
    PROMPT = "prompt"
    """ReinforcementRow."""
    TEXT = "text"
    LABELLED = "labelled"

    @property
    def methods(self) -> tuple[MethodType, ...]:
        """Values of `method.type` that train on such rows."""
        return _METHODS[self]

    @classmethod
    def of_method(cls, method: MethodType) -> "RowKind":
        """The rows that a `method.type` trains on."""
        return {name: kind for kind, names in _METHODS.items() for name in names}[method]


_METHODS: Mapping[RowKind, tuple[MethodType, ...]] = {
    RowKind.CONVERSATION: ("supervised",),
    RowKind.PREFERENCE: ("dpo", "reward_model"),
    RowKind.PROMPT: ("reinforcement", "rlhf"),
    RowKind.TEXT: ("unsupervised",),
    RowKind.LABELLED: ("classification",),
}


@dataclass(frozen=True)
class ChatRow:
    """A conversation; the assistant's messages are learned from."""

    line: int
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] | None


@dataclass(frozen=True)
class CompletionRow:
    """A prompt and what should follow it."""

    line: int
    prompt: str
    completion: str


@dataclass(frozen=True)
class PreferenceRow:
    """A conversation and two ways to go on, the first of which is better."""

    line: int
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] | None
    preferred: Message
    """An assistant's message, as is the other."""
    rejected: Message


@dataclass(frozen=True)
class ReinforcementRow:
    """A conversation that the model has to go on, and what graders need to know of it."""

    line: int
    messages: tuple[Message, ...]
    """The last one is the user's."""
    tools: tuple[Tool, ...] | None
    item: Mapping[str, Any]
    """Every other member of the row: `item` in a grader's templates."""


@dataclass(frozen=True)
class TextRow:
    """Text to go on learning the language from."""

    line: int
    text: str


@dataclass(frozen=True)
class LabelledRow:
    """A text or a conversation, whichever is not None, and what it is."""

    line: int
    text: str | None
    messages: tuple[Message, ...] | None
    labels: tuple[str, ...]
    """One, or with `is_multi` any number; without repetition, in the row's order."""
    is_multi: bool
    """Whether the row gives a list of labels; all rows of a file do or none does."""


Row = ChatRow | CompletionRow | PreferenceRow | ReinforcementRow | TextRow | LabelledRow
