"""Deletes objects that nobody points at: what lost attempts have stored, training states of jobs
that are over, leftovers of imports, exports and uploads, and whatever a deletion left behind.

Mark and sweep, a page of one project a round. Four things keep it from what is needed: an object
younger than the grace age is not looked at; where an open piece of work may write is left alone; an
object must be unneeded in two rounds; and below `p/` only projects that the database knows are
visited, so that an empty database does no harm to a full bucket.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.core.database import Database
from service.core.errors import StorageUnavailable
from service.core.object_keys import project_prefix
from service.core.references import ReferenceReader, References
from service.core.repositories.roots import RootRepository
from service.core.repositories.states import FinishedStates
from service.core.storage import ListedObject, ObjectStore

logger = logging.getLogger(__name__)

PAGE = 1000


@dataclass(frozen=True)
class _Place:
    """Where the next page begins."""

    project_id: str
    after: str = ""


class Collector:
    """Of one reconciler. Several may collect at once: deleting twice is no error."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        grace_seconds: float,
        page: int = PAGE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._store = store
        self._references = ReferenceReader(store)
        self._grace_seconds = grace_seconds
        self._page = page
        self._clock = clock
        self._place: _Place | None = None
        self._suspects: tuple[str, Sequence[ListedObject]] = ("", ())

    def round(self) -> int:
        """How many objects were deleted. Raises DatabaseUnavailable, StorageUnavailable; after a
        damaged manifest nothing is deleted."""
        with self._database.transaction() as connection:
            FinishedStates(connection).forget(limit=self._page)
        deleted = self._delete_suspects()
        place = self._place or self._next_project("")
        if place is not None:
            self._look_at(place)
        return deleted

    def _delete_suspects(self) -> int:
        (project_id, suspects), self._suspects = self._suspects, ("", ())
        if not suspects:
            return 0
        references = self._read(project_id)
        doomed = [found for found in suspects if not references.needs(found.key)]
        for found in doomed:
            self._store.delete(found.key)
        if doomed:
            size = sum(found.bytes for found in doomed)
            logger.info(
                "%d objects of %s, %d bytes, were needed by nothing and are deleted",
                len(doomed),
                project_id,
                size,
            )
        return len(doomed)

    def _look_at(self, place: _Place) -> None:
        """Remember who is suspect on this page, and where the next one begins."""
        prefix = project_prefix(place.project_id)
        old = self._clock() - self._grace_seconds
        if not place.after:
            self._store.abort_uploads(prefix, begun_before=old)
        listed = self._store.list_objects(prefix, after=place.after, limit=self._page)
        aged = [found for found in listed if found.stored_at <= old]
        if aged:
            references = self._read(place.project_id)
            unneeded = [found for found in aged if not references.needs(found.key)]
            self._suspects = (place.project_id, unneeded)
        if len(listed) == self._page:
            self._place = _Place(place.project_id, listed[-1].key)
        else:
            self._place = self._next_project(place.project_id)

    def _read(self, project_id: str) -> References:
        with self._database.snapshot() as connection:
            roots = RootRepository(connection).read(project_id)
        return self._references.read(roots)

    def _next_project(self, after: str) -> _Place | None:
        """None after the last one: the next round begins anew."""
        with self._database.snapshot() as connection:
            projects = RootRepository(connection).projects()
        following = [project for project in projects if project > after]
        return _Place(following[0]) if following else None


def collect(collector: Collector) -> None:
    """A round that leaves the reconciler alone if the store cannot be trusted."""
    try:
        collector.round()
    except StorageUnavailable as error:
        logger.warning("nothing is collected in this round: %s", error)
