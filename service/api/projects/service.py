"""What administrators can do with projects."""

from dataclasses import asdict

from service.api.projects.schemas import RATE_LIMIT_ID, ModifyRateLimit
from service.core.database import Database
from service.core.domain.access import Principal, Project, ProjectLimits
from service.core.errors import NotFound
from service.core.repositories.audit import record
from service.core.repositories.paging import Page
from service.core.repositories.projects import ProjectRepository


class ProjectService:
    """Projects of the caller's organisation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, principal: Principal, name: str) -> Project:
        """Raises NameTaken."""
        with self._database.transaction() as connection:
            project = ProjectRepository(connection, principal.scope.organization_id).add(name)
            record(
                connection,
                principal,
                "project.created",
                project.id,
                project_id=project.id,
                details={"name": name},
            )
        return project

    def list(
        self, principal: Principal, *, archived: bool, after: str | None, limit: int
    ) -> Page[Project]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            projects = ProjectRepository(connection, principal.scope.organization_id)
            return projects.list(archived=archived, after=after, limit=limit)

    def get(self, principal: Principal, project_id: str) -> Project:
        """Raises NotFound."""
        with self._database.snapshot() as connection:
            return ProjectRepository(connection, principal.scope.organization_id).get(project_id)

    def rename(self, principal: Principal, project_id: str, name: str) -> Project:
        """Raises NotFound, InvalidRequest, NameTaken."""
        with self._database.transaction() as connection:
            projects = ProjectRepository(connection, principal.scope.organization_id)
            project = projects.rename(project_id, name)
            record(
                connection,
                principal,
                "project.updated",
                project_id,
                project_id=project_id,
                details={"name": name},
            )
        return project

    def archive(self, principal: Principal, project_id: str) -> Project:
        """An archived one stays so. Raises NotFound, InvalidRequest."""
        with self._database.transaction() as connection:
            projects = ProjectRepository(connection, principal.scope.organization_id)
            project = projects.get(project_id)
            if project.archived_at is None:
                project = projects.archive(project_id)
                record(connection, principal, "project.archived", project_id, project_id=project_id)
        return project

    def limits(self, principal: Principal, project_id: str) -> ProjectLimits:
        """Raises NotFound."""
        return self.get(principal, project_id).limits

    def modify_limits(
        self, principal: Principal, project_id: str, rate_limit_id: str, request: ModifyRateLimit
    ) -> ProjectLimits:
        """Raises NotFound, InvalidRequest, MissingParameter."""
        with self._database.transaction() as connection:
            projects = ProjectRepository(connection, principal.scope.organization_id)
            limits = projects.get(project_id).limits
            if rate_limit_id != RATE_LIMIT_ID:
                raise NotFound(
                    f"No such rate limit: {rate_limit_id}. A project has one, {RATE_LIMIT_ID}.",
                    param="rate_limit_id",
                )
            limits = request.apply_to(limits)
            projects.set_limits(project_id, limits)
            record(
                connection,
                principal,
                "rate_limit.updated",
                RATE_LIMIT_ID,
                project_id=project_id,
                details=asdict(limits),
            )
        return limits
