"""Wire shapes of stored completions."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from service.api.wire import Answer, Metadata, RequestBody
from service.core.domain.completions import StoredCompletion
from service.core.repositories.paging import Page


class UpdateStoredCompletion(RequestBody):
    """The pairs that replace all others; null for none."""

    metadata: Metadata | None


class StoredCompletionObject(Answer):
    """The answer as it was given, and its metadata."""

    id: str
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


class StoredCompletionList(Answer):
    """A page of completions."""

    object: Literal["list"] = "list"
    data: list[StoredCompletionObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[StoredCompletion]) -> "StoredCompletionList":
        return cls(
            data=[StoredCompletionObject.from_domain(completion) for completion in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )


class StoredCompletionDeleted(Answer):
    """The completion is gone."""

    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: Literal[True] = True


class StoredMessage(Answer):
    """A message of the conversation that was answered, with whatever else it had."""

    model_config = ConfigDict(extra="allow")

    id: str
    role: str
    content: str | None = None
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


class StoredMessageList(Answer):
    """A page of messages."""

    object: Literal["list"] = "list"
    data: list[StoredMessage]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[StoredMessage]) -> "StoredMessageList":
        return cls(
            data=list(page.items),
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )
