"""Names of models."""

from service.core.errors.base import InvalidRequest, NotFound


class NameTaken(InvalidRequest):
    """A model or a route has this name already, so no alias can."""

    code = "name_taken"


class AliasCycle(InvalidRequest):
    """The alias would in the end mean itself."""

    code = "alias_cycle"


class AliasNotFound(NotFound):
    """No such alias in the caller's project."""

    code = "alias_not_found"
