"""Wire shapes of projects and their limits."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from service.api.pages import Listed, ListPage
from service.api.wire import RequestBody
from service.core.domain.access import Project, ProjectLimits
from service.core.errors import MissingParameter
from service.core.rate_limits import RateLimits

RATE_LIMIT_ID = "rl-all"
"""The only one of a project: its limits hold over all models together."""

ProjectName = Annotated[str, Field(min_length=1, max_length=128)]
Amount = Annotated[int, Field(ge=1, le=10**12)]


class CreateProject(RequestBody):
    """A project, by the name that it is to have."""

    name: ProjectName


class ModifyProject(RequestBody):
    """Its new name."""

    name: ProjectName


_LIMITS = {
    "max_requests_per_1_minute": "requests_per_minute",
    "max_tokens_per_1_minute": "tokens_per_minute",
    "max_queued_jobs": "queued_jobs",
    "max_stored_bytes": "stored_bytes",
}


class ModifyRateLimit(RequestBody):
    """What is to change; null leaves a limit to the operator of the server again."""

    max_requests_per_1_minute: Amount | None = None
    max_tokens_per_1_minute: Amount | None = None
    max_queued_jobs: Amount | None = None
    max_stored_bytes: Amount | None = None

    def apply_to(self, limits: ProjectLimits) -> ProjectLimits:
        """Raises MissingParameter when nothing is to change."""
        if not self.model_fields_set:
            raise MissingParameter(f"Give at least one of {', '.join(type(self).model_fields)}.")
        given = self.model_dump(exclude_unset=True)
        return replace(limits, **{_LIMITS[name]: amount for name, amount in given.items()})


class ProjectObject(Listed):
    """A project."""

    object: Literal["organization.project"] = "organization.project"
    name: str
    created_at: int
    archived_at: int | None
    status: Literal["active", "archived"]

    @classmethod
    def from_domain(cls, project: Project) -> "ProjectObject":
        archived_at = project.archived_at
        return cls(
            id=project.id,
            name=project.name,
            created_at=int(project.created_at),
            archived_at=None if archived_at is None else int(archived_at),
            status="active" if archived_at is None else "archived",
        )


class ProjectList(ListPage[ProjectObject]):
    """A page of projects."""


class RateLimitObject(Listed):
    """The limits of a project, over all models together."""

    object: Literal["project.rate_limit"] = "project.rate_limit"
    model: Literal["*"] = "*"
    max_requests_per_1_minute: int
    max_tokens_per_1_minute: int
    max_queued_jobs: int | None
    max_stored_bytes: int | None

    @classmethod
    def from_domain(cls, limits: ProjectLimits, defaults: RateLimits) -> "RateLimitObject":
        return cls(
            id=RATE_LIMIT_ID,
            max_requests_per_1_minute=limits.requests_per_minute or defaults.requests_per_minute,
            max_tokens_per_1_minute=limits.tokens_per_minute or defaults.tokens_per_minute,
            max_queued_jobs=limits.queued_jobs,
            max_stored_bytes=limits.stored_bytes,
        )


class RateLimitList(ListPage[RateLimitObject]):
    """All of them, which is one."""
