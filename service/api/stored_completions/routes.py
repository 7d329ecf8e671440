"""/v1/chat/completions, as far as it is about completions that were stored"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import MetadataDep, PrincipalDep, ResourcesDep
from service.api.stored_completions.schemas import (
    StoredCompletionDeleted,
    StoredCompletionList,
    StoredCompletionObject,
    StoredMessageList,
    UpdateStoredCompletion,
)
from service.api.stored_completions.service import StoredCompletionService
from service.api.wire import Order

router = APIRouter(prefix="/v1/chat/completions", tags=["chat"])

After = Annotated[str | None, Query(max_length=128)]
Limit = Annotated[int, Query(ge=1, le=100)]


async def _service(resources: ResourcesDep) -> StoredCompletionService:
    return StoredCompletionService(resources.database)


StoredDep = Annotated[StoredCompletionService, Depends(_service)]


@router.get("")
def list_stored_completions(
    caller: PrincipalDep,
    stored: StoredDep,
    pairs: MetadataDep,
    model: str | None = None,
    after: After = None,
    limit: Limit = 20,
    order: Order = "asc",
    metadata: Annotated[
        str | None, Query(description="`metadata[key]=value`, or `null` for those without any.")
    ] = None,
) -> StoredCompletionList:
    """List completions that were created with `store`."""
    page = stored.list(
        caller,
        model=model,
        metadata=pairs,
        without_metadata=metadata == "null",
        after=after,
        limit=limit,
        ascending=order == "asc",
    )
    return StoredCompletionList.of(page, StoredCompletionObject.from_domain)


@router.get("/{completion_id}")
def retrieve_stored_completion(
    completion_id: str, caller: PrincipalDep, stored: StoredDep
) -> StoredCompletionObject:
    """The answer of a stored completion."""
    return StoredCompletionObject.from_domain(stored.get(caller, completion_id))


@router.post("/{completion_id}")
def update_stored_completion(
    completion_id: str, body: UpdateStoredCompletion, caller: PrincipalDep, stored: StoredDep
) -> StoredCompletionObject:
    """Replace the metadata of a stored completion."""
    updated = stored.set_metadata(caller, completion_id, body.metadata)
    return StoredCompletionObject.from_domain(updated)


@router.delete("/{completion_id}")
def delete_stored_completion(
    completion_id: str, caller: PrincipalDep, stored: StoredDep
) -> StoredCompletionDeleted:
    """Delete a stored completion."""
    stored.delete(caller, completion_id)
    return StoredCompletionDeleted(id=completion_id)


@router.get("/{completion_id}/messages")
def list_stored_messages(
    completion_id: str,
    caller: PrincipalDep,
    stored: StoredDep,
    after: After = None,
    limit: Limit = 20,
    order: Order = "asc",
) -> StoredMessageList:
    """List the messages that a stored completion answers."""
    page = stored.messages(
        caller, completion_id, after=after, limit=limit, ascending=order == "asc"
    )
    return StoredMessageList.of(page, lambda message: message)
