"""The projects of an organisation."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Project, ProjectLimits
from service.core.errors import InvalidRequest, NameTaken, NotFound
from service.core.ids import new_project_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import organizations, projects


def limits_from(row: Row[Any]) -> ProjectLimits:
    return ProjectLimits(
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        queued_jobs=row.queued_jobs,
        stored_bytes=row.stored_bytes,
    )


class ProjectRepository:
    """Projects of one organisation; any other is missing."""

    def __init__(self, connection: Connection, organization_id: str) -> None:
        self._connection = connection
        self._organization_id = organization_id
        self._own = projects.c.organization_id == organization_id

    def get(self, project_id: str) -> Project:
        """Archived ones too. Raises NotFound."""
        row = self._connection.execute(
            select(projects).where(self._own, projects.c.id == project_id)
        ).first()
        if row is None:
            raise NotFound(f"No such project: {project_id}.", param="project_id")
        return _to_project(row)

    def get_active(self, project_id: str) -> Project:
        """Raises NotFound, InvalidRequest."""
        project = self.get(project_id)
        if project.archived_at is not None:
            raise InvalidRequest(
                f"The project {project_id} is archived, and stays as it is.", param="project_id"
            )
        return project

    def list(self, *, archived: bool, after: str | None, limit: int) -> Page[Project]:
        """Newest first, with archived ones if asked. Raises InvalidCursor."""
        shown = self._own if archived else and_(self._own, projects.c.archived_at.is_(None))
        return fetch_page(
            self._connection, projects, shown, after=after, limit=limit, to_domain=_to_project
        )

    def add(self, name: str) -> Project:
        """Raises NameTaken."""
        self._check_name(name)
        project_id = new_project_id()
        self._connection.execute(
            insert(projects).values(
                id=project_id,
                organization_id=self._organization_id,
                name=name,
                created_at=database_now(),
            )
        )
        return self.get(project_id)

    def rename(self, project_id: str, name: str) -> Project:
        """Raises NotFound, InvalidRequest, NameTaken."""
        if self.get_active(project_id).name != name:
            self._check_name(name)
            self._change(project_id, name=name)
        return self.get(project_id)

    def archive(self, project_id: str) -> Project:
        """From now on its keys open nothing. Raises NotFound, InvalidRequest."""
        self.get_active(project_id)
        if project_id == self.first_id():
            raise InvalidRequest(
                "The organisation's first project cannot be archived: its administrators' keys are "
                "kept there.",
                param="project_id",
            )
        self._change(project_id, archived_at=database_now())
        return self.get(project_id)

    def set_limits(self, project_id: str, limits: ProjectLimits) -> Project:
        """Raises NotFound, InvalidRequest."""
        self.get_active(project_id)
        self._change(project_id, **asdict(limits))
        return self.get(project_id)

    def first_id(self) -> str:
        """Where what belongs to the organisation is kept."""
        oldest = (projects.c.created_at, projects.c.id)
        query = select(projects.c.id).where(self._own).order_by(*oldest).limit(1)
        return str(self._connection.execute(query).scalar_one())

    def _check_name(self, name: str) -> None:
        """Of two that take a name at once the second waits for the first."""
        mine = organizations.c.id == self._organization_id
        self._connection.execute(
            select(organizations.c.id).where(mine).with_for_update(key_share=True)
        )
        taken = self._own & (projects.c.name == name)
        if self._connection.scalar(select(projects.c.id).where(taken)) is not None:
            raise NameTaken(f"The organisation has a project {name!r} already.", param="name")

    def _change(self, project_id: str, **values: object) -> None:
        mine = and_(self._own, projects.c.id == project_id)
        self._connection.execute(update(projects).where(mine).values(**values))


def _to_project(row: Row[Any]) -> Project:
    return Project(row.id, row.name, row.created_at, row.archived_at, limits_from(row))
