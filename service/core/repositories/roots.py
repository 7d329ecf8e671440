"""What rows point at in the object store. For the collector and for backups: no scope."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from service.core.domain.models import Delta
from service.core.domain.operations import ENDED
from service.core.lifecycle import TERMINAL
from service.core.object_keys import attempt_prefixes, upload_prefix
from service.core.tables import (
    bases,
    batch_blocks,
    checkpoints,
    embedding_models,
    files,
    jobs,
    models,
    operations,
    projects,
    training_states,
    upload_parts,
    uploads,
    work,
)


@dataclass(frozen=True)
class Roots:
    """At one moment."""

    keys: frozenset[str]
    """Single objects."""
    deltas: frozenset[Delta]
    """Folders with a manifest, which may name files elsewhere; of whatever project."""
    prefixes: frozenset[str]
    """Each ends in `/`: where an attempt or an upload may write what no row names yet."""


class RootRepository:
    """Rows of all tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def projects(self) -> list[str]:
        return self._strings(select(projects.c.id).order_by(projects.c.id))

    def read(self, project_id: str) -> Roots:
        """What keeps objects of this project. Deltas are those of all projects: they share files
        across projects, where one has permitted another to train its model further."""
        return Roots(self._keys(project_id), self.deltas(), self._prefixes(project_id))

    def operators_keys(self) -> frozenset[str]:
        """Texts of bases, which belong to no project."""
        found = [self._strings(select(table.c.text_key)) for table in (bases, embedding_models)]
        return frozenset(key for keys in found for key in keys)

    def deltas(self) -> frozenset[Delta]:
        """Of models, checkpoints and exports that have not ended; and of what unfinished jobs began
        with and go on from."""
        unfinished = jobs.c.status.not_in(TERMINAL)
        states = training_states.join(jobs, jobs.c.id == training_states.c.job_id)
        old_states = checkpoints.join(jobs, jobs.c.id == checkpoints.c.job_id)
        stored = [
            select(models.c.key, models.c.digest),
            select(checkpoints.c.key, checkpoints.c.digest),
            select(training_states.c.key, training_states.c.digest)
            .select_from(states)
            .where(unfinished),
            select(checkpoints.c.state_key, checkpoints.c.state_digest)
            .select_from(old_states)
            .where(unfinished, checkpoints.c.state_key.is_not(None)),
        ]
        found = {Delta(*row) for query in stored for row in self._connection.execute(query)}
        starts = select(jobs.c.start_from).where(unfinished, jobs.c.start_from.is_not(None))
        for start in self._connection.execute(starts).scalars():
            found.add(Delta(**start["delta"]))
        requests = select(operations.c.request).where(operations.c.status.not_in(ENDED))
        for request in self._connection.execute(requests).scalars():
            if request.get("key") and request.get("digest"):
                found.add(Delta(request["key"], request["digest"]))
        return frozenset(found)

    def _keys(self, project_id: str) -> frozenset[str]:
        found: set[str] = set()
        for table in (files, upload_parts, batch_blocks):
            found.update(self._strings(select(table.c.key).where(table.c.project_id == project_id)))
        kept = select(jobs.c.artefacts).where(
            jobs.c.project_id == project_id, jobs.c.artefacts.is_not(None)
        )
        for artefacts in self._connection.execute(kept).scalars():
            found.update(artefacts.values())
        return frozenset(found)

    def _prefixes(self, project_id: str) -> frozenset[str]:
        pending = select(uploads.c.id).where(
            uploads.c.project_id == project_id, uploads.c.swept_at.is_(None)
        )
        found = {upload_prefix(project_id, upload) for upload in self._strings(pending)}
        open_work = select(work.c.subject_id, work.c.epoch).where(work.c.project_id == project_id)
        for subject_id, epoch in self._connection.execute(open_work):
            found.update(attempt_prefixes(project_id, subject_id, epoch))
        return frozenset(found)

    def _strings(self, query: Select[Any]) -> list[str]:
        return list(self._connection.execute(query).scalars())
