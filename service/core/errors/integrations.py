"""Services outside that jobs report to."""

from service.core.errors.base import InvalidRequest, NotFound


class IntegrationUnavailable(InvalidRequest):
    """This installation cannot report there, or not for this project yet."""

    code = "integration_unavailable"


class IntegrationNotFound(NotFound):
    """The project has stored no key for this service."""

    code = "integration_not_found"
