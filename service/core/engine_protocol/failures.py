"""A ServiceError as an ErrorBody and back: the code names the class on both sides."""

from collections.abc import Iterator

from service.core.engine_protocol.models import ErrorBody
from service.core.errors import ServiceError


def to_body(error: ServiceError) -> ErrorBody:
    """What crosses the wire of a failure."""
    code = error.code or "internal_error"
    return ErrorBody(code=code, message=error.message, param=error.param)


def to_error(body: ErrorBody) -> ServiceError:
    """The error again, of the class with that code; a plain ServiceError for an unknown code."""
    classes = {kind.code: kind for kind in _most_general_last(ServiceError)}
    return classes.get(body.code, ServiceError)(body.message, param=body.param)


def _most_general_last(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Children first, so that of two classes with one code the more general is chosen."""
    for child in kind.__subclasses__():
        yield from _most_general_last(child)
    yield kind
