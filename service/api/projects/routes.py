"""/v1/organization/projects and their rate_limits"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.projects.schemas import (
    CreateProject,
    ModifyProject,
    ModifyRateLimit,
    ProjectList,
    ProjectObject,
    RateLimitList,
    RateLimitObject,
)
from service.api.projects.service import ProjectService
from service.core.repositories.paging import Page

router = APIRouter(tags=["organization"], prefix="/v1/organization/projects")

After = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=100)]


async def _service(resources: ResourcesDep) -> ProjectService:
    return ProjectService(resources.database)


ProjectsDep = Annotated[ProjectService, Depends(_service)]


@router.post("")
def create_project(
    body: CreateProject, caller: PrincipalDep, projects: ProjectsDep
) -> ProjectObject:
    """Make a project, which has no key yet."""
    return ProjectObject.from_domain(projects.create(caller, body.name))


@router.get("")
def list_projects(
    caller: PrincipalDep,
    projects: ProjectsDep,
    after: After = None,
    limit: Limit = 20,
    include_archived: bool = False,
) -> ProjectList:
    """List the organisation's projects, newest first."""
    page = projects.list(caller, archived=include_archived, after=after, limit=limit)
    return ProjectList.of(page, ProjectObject.from_domain)


@router.get("/{project_id}")
def retrieve_project(project_id: str, caller: PrincipalDep, projects: ProjectsDep) -> ProjectObject:
    """Describe a project."""
    return ProjectObject.from_domain(projects.get(caller, project_id))


@router.post("/{project_id}")
def modify_project(
    project_id: str, body: ModifyProject, caller: PrincipalDep, projects: ProjectsDep
) -> ProjectObject:
    """Rename a project."""
    return ProjectObject.from_domain(projects.rename(caller, project_id, body.name))


@router.post("/{project_id}/archive")
def archive_project(project_id: str, caller: PrincipalDep, projects: ProjectsDep) -> ProjectObject:
    """Archive a project for good: its keys are refused from the next request on."""
    return ProjectObject.from_domain(projects.archive(caller, project_id))


@router.get("/{project_id}/rate_limits")
def list_project_rate_limits(
    project_id: str,
    caller: PrincipalDep,
    projects: ProjectsDep,
    resources: ResourcesDep,
) -> RateLimitList:
    """Say what a project may use: one entry, for all models together."""
    limits = projects.limits(caller, project_id)
    page = Page((limits,), has_more=False)
    return RateLimitList.of(
        page, lambda shown: RateLimitObject.from_domain(shown, resources.rate_limits)
    )


@router.post("/{project_id}/rate_limits/{rate_limit_id}")
def modify_project_rate_limit(
    project_id: str,
    rate_limit_id: str,
    body: ModifyRateLimit,
    caller: PrincipalDep,
    projects: ProjectsDep,
    resources: ResourcesDep,
) -> RateLimitObject:
    """Limit a project; it holds from its next request on."""
    limits = projects.modify_limits(caller, project_id, rate_limit_id, body)
    return RateLimitObject.from_domain(limits, resources.rate_limits)
