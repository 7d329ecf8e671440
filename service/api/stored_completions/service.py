"""What can be done with stored completions."""

from collections.abc import Mapping

from service.api.stored_completions.schemas import StoredMessage
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.completions import StoredCompletion
from service.core.errors import InvalidCursor
from service.core.repositories.audit import record
from service.core.repositories.paging import Page
from service.core.repositories.stored_completions import StoredCompletionRepository


class StoredCompletionService:
    """Completions of the caller's project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, principal: Principal, completion_id: str) -> StoredCompletion:
        """Raises CompletionNotFound."""
        with self._database.snapshot() as connection:
            return StoredCompletionRepository(connection, principal.scope).get(completion_id)

    def list(
        self,
        principal: Principal,
        *,
        model: str | None,
        metadata: Mapping[str, str],
        without_metadata: bool,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[StoredCompletion]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            return StoredCompletionRepository(connection, principal.scope).list(
                model=model,
                metadata=metadata,
                without_metadata=without_metadata,
                after=after,
                limit=limit,
                ascending=ascending,
            )

    def set_metadata(
        self, principal: Principal, completion_id: str, metadata: dict[str, str] | None
    ) -> StoredCompletion:
        """Raises CompletionNotFound."""
        with self._database.transaction() as connection:
            completions = StoredCompletionRepository(connection, principal.scope)
            completion = completions.set_metadata(completion_id, metadata)
            record(connection, principal, "chat.completion.updated", completion_id)
        return completion

    def delete(self, principal: Principal, completion_id: str) -> None:
        """Raises CompletionNotFound."""
        with self._database.transaction() as connection:
            StoredCompletionRepository(connection, principal.scope).delete(completion_id)
            record(connection, principal, "chat.completion.deleted", completion_id)

    def messages(
        self,
        principal: Principal,
        completion_id: str,
        *,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[StoredMessage]:
        """Of the conversation, without the answer. Raises CompletionNotFound, InvalidCursor."""
        messages = [
            StoredMessage.numbered(message, f"{completion_id}-{number}")
            for number, message in enumerate(self.get(principal, completion_id).messages)
        ]
        if not ascending:
            messages.reverse()
        start = _after(after, [message.id for message in messages])
        page = messages[start : start + limit]
        return Page(tuple(page), has_more=start + limit < len(messages))


def _after(after: str | None, ids: list[str]) -> int:
    """Where the page begins. Raises InvalidCursor."""
    if after is None:
        return 0
    if after not in ids:
        raise InvalidCursor(f"No item {after!r} in this list.", param="after")
    return ids.index(after) + 1
