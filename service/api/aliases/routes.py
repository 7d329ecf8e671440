"""/v1/models/aliases. Names may hold slashes, so `{alias:path}`; these routes stand before those of
models, whose names take every path."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.aliases.schemas import AliasDeleted, AliasList, AliasObject, SetAlias
from service.api.aliases.service import AliasService
from service.api.dependencies import PrincipalDep, ResourcesDep

router = APIRouter(prefix="/v1/models/aliases", tags=["models"])


async def _service(resources: ResourcesDep) -> AliasService:
    return AliasService(resources.database)


AliasesDep = Annotated[AliasService, Depends(_service)]


@router.post("")
def set_alias(body: SetAlias, caller: PrincipalDep, aliases: AliasesDep) -> AliasObject:
    """Give a model a further name, or point the name at another model."""
    return AliasObject.from_domain(aliases.set(caller, body.alias, body.model))


@router.get("")
def list_aliases(
    caller: PrincipalDep,
    aliases: AliasesDep,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> AliasList:
    """List the project's aliases, newest first."""
    return AliasList.from_page(aliases.list(caller, after=after, limit=limit))


@router.get("/{alias:path}")
def retrieve_alias(alias: str, caller: PrincipalDep, aliases: AliasesDep) -> AliasObject:
    """Say what an alias means."""
    return AliasObject.from_domain(aliases.get(caller, alias))


@router.delete("/{alias:path}")
def delete_alias(alias: str, caller: PrincipalDep, aliases: AliasesDep) -> AliasDeleted:
    """Delete an alias; the model stays."""
    aliases.delete(caller, alias)
    return AliasDeleted(id=alias)
