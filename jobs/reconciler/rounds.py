"""One round of healing. Several reconcilers may run: row locks keep them apart."""

import logging

from jobs.runner.outcomes import outcomes_of
from service.core.database import Connection, Database
from service.core.domain.work import Claim
from service.core.errors import DatabaseUnavailable, StaleEpoch
from service.core.queue import Doorbell
from service.core.repositories.access import AccessRepository
from service.core.repositories.work import WorkRepository

logger = logging.getLogger(__name__)


class Reconciler:
    """Gives expired work back to the queue and rings for whatever is due."""

    def __init__(self, database: Database, doorbell: Doorbell) -> None:
        self._database = database
        self._doorbell = doorbell

    def round(self) -> None:
        """Raises DatabaseUnavailable, RedisError; what one piece of work breaks on is logged and
        keeps no other from healing."""
        for claim in self._expired():
            try:
                with self._database.transaction() as connection:
                    _requeue(connection, claim)
            except DatabaseUnavailable:
                raise
            except Exception:
                logger.exception("%s cannot be given back to the queue", claim.subject_id)
        self._doorbell.ring_due()

    def _expired(self) -> list[Claim]:
        with self._database.transaction() as connection:
            return WorkRepository(connection).expired()


def _requeue(connection: Connection, claim: Claim) -> None:
    try:
        WorkRepository(connection).check_expired(claim)
    except StaleEpoch:
        return  # another reconciler was first, or the owner has come back
    logger.warning("attempt %d of %s fell silent", claim.attempt, claim.subject_id)
    scope = AccessRepository(connection).scope_of_project(claim.project_id)
    outcomes_of(claim.kind).lose(connection, scope, claim, "its worker stopped answering")
