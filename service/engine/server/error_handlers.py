"""Every failure leaves the engine as an ErrorBody with its class's status."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.core.engine_protocol import to_body
from service.core.errors import InvalidRequest, NotFound, ServiceError

logger = logging.getLogger(__name__)


def error_response(error: ServiceError) -> Response:
    return Response(
        to_body(error).model_dump_json(),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def install(app: FastAPI) -> None:
    """Register a handler for every kind of failure."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_message)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(Exception, _unexpected)


def _service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return error_response(error)


def _invalid_message(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return error_response(InvalidRequest(f"{place}: {first['msg']}", param=place))


def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(NotFound(f"{request.method} {request.url.path}: {error.detail}"))


def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s raised", request.method, request.url.path, exc_info=error)
    return error_response(ServiceError(f"the engine failed with {type(error).__name__}"))
