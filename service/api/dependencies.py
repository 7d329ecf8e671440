"""What routes ask for: the process's resources, and the caller.

The key alone decides organisation and project: `OpenAI-Organization` and `OpenAI-Project` headers,
which an SDK sends from its environment, are ignored. A dependency that does not block is `async`:
FastAPI would give any other a thread for itself.
"""

import logging
import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Scope

from service.api.key_scopes import require_scope
from service.api.resources import Resources
from service.api.wire import MAX_METADATA_PAIRS
from service.core.domain.access import Principal
from service.core.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    RateLimitExceeded,
    Unauthorized,
    UnsupportedParameter,
)
from service.core.internal_calls import PROJECT_HEADER
from service.core.rate_limits import Share
from service.core.repositories.access import AccessRepository
from service.core.security import hash_api_key, tokens_equal

logger = logging.getLogger(__name__)

_bearer = HTTPBearer(auto_error=False, description="An API key of one project.")
_INTERNAL = "internal"
_internal_bearer = HTTPBearer(auto_error=False, scheme_name="InternalToken")


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def find_principal(resources: Resources, key: str) -> Principal | None:
    """Whose key this is; None when it is unknown, expired or revoked. Notes its use."""
    hashed = hash_api_key(key, resources.settings)
    with resources.database.snapshot() as connection:
        principal = AccessRepository(connection).find_principal(hashed)
    if principal is not None and principal.use_is_old:
        _note_use(resources, principal.key_id)
    return principal


def _note_use(resources: Resources, key_id: str) -> None:
    """The request goes on whether this can be written or not."""
    try:
        with resources.database.transaction() as connection:
            AccessRepository(connection).note_use(key_id)
    except DatabaseUnavailable:
        logger.warning("the use of key %s went unnoted", key_id)


def find_caller(scope: Scope) -> Principal | None:
    """Whose key a request carries, for what is decided before a route asks. Blocks."""
    resources: Resources = scope["state"]["resources"]
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return find_principal(resources, token.strip()) if kind.lower() == "bearer" else None


def admit_caller(scope: Scope) -> None:
    """Note who calls and count the request, where no route has done so: the address is unknown, or
    the body was refused before it. Blocks."""
    try:
        principal = find_caller(scope)
    except DatabaseUnavailable:
        return  # the answer goes out without
    if principal is not None:
        resources: Resources = scope["state"]["resources"]
        scope["state"]["organization"] = principal.scope.organization
        scope["state"]["rate_limits"] = resources.rate_limits.admit(
            principal.scope.project_id, principal.limits
        )


def get_principal(
    request: Request,
    resources: ResourcesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """The caller of a public operation; a worker that runs a batch calls for its project.

    Raises Unauthorized, RateLimitExceeded, Forbidden.
    """
    project_id = request.headers.get(PROJECT_HEADER)
    if project_id is None:
        principal = _owner_of_key(resources, credentials)
    else:
        require_internal_token(resources, credentials)
        with resources.database.snapshot() as connection:
            access = AccessRepository(connection)
            scope = access.scope_of_project(project_id)
            limits = access.limits_of_project(project_id)
        principal = Principal(scope, key_id=_INTERNAL, limits=limits)
    request.state.organization = principal.scope.organization
    standing = resources.rate_limits.admit(principal.scope.project_id, principal.limits)
    request.state.rate_limits = standing
    if standing.requests.exceeded:
        raise RateLimitExceeded(_over("requests", standing.requests))
    require_scope(principal, request.scope["route"].name)
    return principal


def _owner_of_key(
    resources: Resources, credentials: HTTPAuthorizationCredentials | None
) -> Principal:
    if credentials is None:
        raise Unauthorized(
            "No API key was given. Send it in the header Authorization: Bearer YOUR_KEY."
        )
    principal = find_principal(resources, credentials.credentials)
    if principal is None:
        raise Unauthorized(
            f"Incorrect API key: {_masked(credentials.credentials)}. It is unknown, expired or "
            "revoked, or its project is archived. The operator of this server lists and makes "
            "keys with `tunery-server keys`."
        )
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]


async def require_tokens(request: Request, _caller: PrincipalDep) -> None:
    """For operations that spend tokens. Raises RateLimitExceeded when this minute's are spent."""
    tokens = request.state.rate_limits.tokens
    if tokens.exceeded:
        raise RateLimitExceeded(_over("tokens", tokens))


def _over(what: str, share: Share) -> str:
    seconds = math.ceil(share.reset_seconds)
    return (
        f"Rate limit reached: {share.limit} {what} a minute. Please try again in {seconds}s, or "
        "have the operator of this server raise the limit."
    )


def require_internal_token(
    resources: ResourcesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_internal_bearer)],
) -> None:
    """Raises Unauthorized."""
    expected = resources.settings.internal_token.get_secret_value()
    if credentials is None or not expected or not tokens_equal(credentials.credentials, expected):
        raise Unauthorized("The internal token is missing or wrong.")


async def is_repeated(request: Request) -> bool:
    """Whether an SDK says that it sends this again, because an answer did not reach it."""
    return request.headers.get("x-stainless-retry-count", "0").strip() not in ("", "0")


RepeatedDep = Annotated[bool, Depends(is_repeated)]


async def get_metadata_filter(request: Request) -> dict[str, str]:
    """The pairs of `metadata[key]=value`. Raises InvalidRequest for more than anything can have."""
    pairs = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if len(pairs) > MAX_METADATA_PAIRS:
        raise InvalidRequest(
            f"Nothing has more than {MAX_METADATA_PAIRS} pairs of metadata.", param="metadata"
        )
    return pairs


async def refuse_unknown_query(request: Request) -> None:
    """A misspelt filter must not be taken for none. Raises UnsupportedParameter."""
    if not request.query_params:
        return
    known = {field.alias for field in get_flat_params(request.scope["route"].dependant)}
    for name in request.query_params:
        if name not in known and name.partition("[")[0] not in known:
            raise UnsupportedParameter(
                f"Unsupported parameter: '{name}'. This address does not take it in the query; "
                "leave it out.",
                param=name,
            )


MetadataDep = Annotated[dict[str, str], Depends(get_metadata_filter)]


def _masked(key: str) -> str:
    return f"{key[:6]}…{key[-4:]}" if len(key) >= 20 else "…"
