"""The only renderer of failures: one envelope, `{"error": {message, type, param, code}}`.

Parts we depend on may name keys and addresses in their messages; those go to the log, and the
caller reads a sentence of ours.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.api.refusals import REASONS, UNSUPPORTED
from service.core.errors import (
    DatabaseUnavailable,
    EngineUnavailable,
    InvalidRequest,
    MethodNotAllowed,
    MissingParameter,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    StorageUnavailable,
    UnsupportedParameter,
)

logger = logging.getLogger(__name__)

_SENTENCES: dict[type[ServiceError], str] = {
    DatabaseUnavailable: "The database does not answer; try again shortly.",
    StorageUnavailable: "The object store does not answer; try again shortly.",
    EngineUnavailable: "No engine for this model answers at the moment; try again shortly.",
    ServiceError: "The server failed while it processed the request. The id of the request, in the "
    "header x-request-id, finds the reason in the server's log.",
}

_UNKNOWN = "This server does not know it, or cannot do what it asks for; leave it out."

UNEXPECTED = ServiceError(_SENTENCES[ServiceError])


def error_json(error: ServiceError) -> str:
    """The envelope. ASCII, so that no text of a caller can fail to be encoded."""
    body = {
        "message": _SENTENCES.get(type(error), error.message),
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return json.dumps({"error": body})


def error_response(error: ServiceError) -> Response:
    return Response(
        error_json(error),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def install(app: FastAPI) -> None:
    """Register a handler for every kind of failure; what is none of these is a bug, which the
    middleware answers and logs."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _framework_error)


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status >= 500:
        logger.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=error)
    return error_response(error)


def _framework_error(request: Request, error: Exception) -> Response:
    """What the framework refuses before a route is reached."""
    assert isinstance(error, HTTPException)
    route = f"{request.method} {request.url.path}"
    kinds: dict[int, ServiceError] = {
        404: NotFound(f"Unknown address: {route}."),
        405: MethodNotAllowed(f"This address does not take the method: {route}."),
        413: PayloadTooLarge("The body is too large."),
    }
    known = kinds.get(error.status_code, InvalidRequest("The body could not be read."))
    response = error_response(known)
    response.headers.update(error.headers or {})
    if error.status_code == 405 and (described := _methods_of(request)):
        response.headers["allow"] = ", ".join(described)
    return response


def _methods_of(request: Request) -> list[str]:
    """What the address takes if it takes anything, as described: the framework names the methods of
    one route alone."""
    address = getattr(request.scope.get("route"), "path_format", None)
    return sorted(method.upper() for method in request.app.openapi()["paths"].get(address, ()))


def _invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(_from_validation(error.errors()[0], error.body))


def _from_validation(first: Mapping[str, Any], body: object) -> ServiceError:
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {first['ctx']['error']}.")
    first = _of_discriminator(first)
    param = _dotted(first["loc"], body, missing=first["type"] == "missing")
    if param is None and isinstance(body, dict):  # its members do not go together
        return InvalidRequest(f"Invalid request: {first['msg']}.")
    if param is None:
        return InvalidRequest("The body must be a JSON object, sent as application/json.")
    if first["type"] == "missing":
        return MissingParameter(f"Missing required parameter: '{param}'.", param=param)
    if first["type"] in ("extra_forbidden", UNSUPPORTED):
        reason = first["msg"] if first["type"] == UNSUPPORTED else REASONS.get(param, _UNKNOWN)
        return UnsupportedParameter(f"Unsupported parameter: '{param}'. {reason}", param=param)
    return InvalidRequest(f"Invalid value for '{param}': {first['msg']}.", param=param)


def _of_discriminator(first: Mapping[str, Any]) -> Mapping[str, Any]:
    """A member that decides the kind of its object: the failure is the member's."""
    if first["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return first
    member = first["ctx"]["discriminator"].strip("'")
    if first["type"] == "union_tag_not_found":
        return {**first, "type": "missing", "loc": (*first["loc"], member)}
    known = first["ctx"]["expected_tags"]
    return {**first, "loc": (*first["loc"], member), "msg": f"it should be one of {known}"}


def _dotted(location: Sequence[str | int], body: object, *, missing: bool) -> str | None:
    """`messages.0.role`: the part of the location that the caller wrote. Pydantic puts names of
    union members between, which are ours."""
    source, *parts = location
    if source != "body":
        return ".".join(map(str, parts))
    names: list[str] = []
    for part in parts:
        if _holds(body, part):
            names.append(str(part))
            body = body[part]  # type: ignore[index]
    if missing and parts:
        names.append(str(parts[-1]))
    return ".".join(names) or None


def _holds(body: object, part: str | int) -> bool:
    if isinstance(body, dict):
        return part in body
    return isinstance(body, list) and isinstance(part, int) and part < len(body)
