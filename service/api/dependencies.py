"""What routes ask for: the process's resources, and the caller.

The key alone decides organisation and project: `OpenAI-Organization` and `OpenAI-Project` headers,
which an SDK sends from its environment, are ignored. A dependency that does not block is `async`:
FastAPI would give any other a thread for itself.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.resources import Resources
from service.core.domain.access import Principal
from service.core.errors import Unauthorized
from service.core.internal_calls import PROJECT_HEADER
from service.core.repositories.access import AccessRepository
from service.core.security import hash_api_key, tokens_equal

_bearer = HTTPBearer(auto_error=False, description="An API key of one project.")
_INTERNAL = "internal"
_internal_bearer = HTTPBearer(auto_error=False, scheme_name="InternalToken")


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def get_principal(
    request: Request,
    resources: ResourcesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """The caller of a public operation; a worker that runs a batch calls for its project.

    Raises Unauthorized.
    """
    project_id = request.headers.get(PROJECT_HEADER)
    if project_id is not None:
        require_internal_token(resources, credentials)
        with resources.database.snapshot() as connection:
            scope = AccessRepository(connection).scope_of_project(project_id)
        return Principal(scope, key_id=_INTERNAL)
    if credentials is None:
        raise Unauthorized(
            "No API key was given. Send it in the header Authorization: Bearer YOUR_KEY."
        )
    hashed = hash_api_key(credentials.credentials, resources.settings)
    with resources.database.snapshot() as connection:
        principal = AccessRepository(connection).find_principal(hashed)
    if principal is None:
        raise Unauthorized(
            f"Incorrect API key: {_masked(credentials.credentials)}. "
            "The operator of this server lists and makes keys with `tunery-server keys`."
        )
    request.state.organization = principal.scope.organization
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]


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


def _masked(key: str) -> str:
    return f"{key[:6]}…{key[-4:]}" if len(key) >= 20 else "…"
