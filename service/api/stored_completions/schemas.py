"""Wire shapes of stored completions."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from service.api.pages import Listed, ListPage
from service.api.wire import Answer, Metadata, RequestBody
from service.core.domain.completions import StoredCompletion


class UpdateStoredCompletion(RequestBody):
    """The pairs that replace all others; null for none."""

    metadata: Metadata | None


class StoredCompletionObject(Listed):
    """The answer as it was given, and its metadata."""

    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None

    @classmethod
    def from_domain(cls, completion: StoredCompletion) -> "StoredCompletionObject":
        return cls.model_validate({**completion.answer, "metadata": completion.metadata})


class StoredCompletionList(ListPage[StoredCompletionObject]):
    """A page of completions."""


class StoredCompletionDeleted(Answer):
    """The completion is gone."""

    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: Literal[True] = True


class StoredMessage(Listed):
    """A message of the conversation that was answered, with whatever else it had."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | None = None
    refusal: str | None = None
    content_parts: list[dict[str, Any]] | None = None
    """Where the content was several parts or other than text."""

    @classmethod
    def numbered(cls, message: Mapping[str, Any], message_id: str) -> "StoredMessage":
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        text = "".join(part.get("text", "") for part in parts) if parts else content
        plain = len(parts) <= 1 and all(part["type"] == "text" for part in parts)
        return cls.model_validate(
            {
                **message,
                "id": message_id,
                "content": text,
                "content_parts": None if plain else parts,
            }
        )


class StoredMessageList(ListPage[StoredMessage]):
    """A page of messages."""
