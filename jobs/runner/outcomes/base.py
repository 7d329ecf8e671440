"""What every kind of work has in common when an attempt ends other than well."""

from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.jobs import JobError, NewEvent
from service.core.domain.work import Claim
from service.core.repositories.work import WorkRepository

INFRASTRUCTURE_FAILURES = 10
"""So many in a row without anything new stored end the work."""
UNEXPECTED_FAILURES = 3

GAVE_UP = JobError(
    "infrastructure_failed",
    f"{INFRASTRUCTURE_FAILURES} attempts in a row were lost to the machinery (engine, storage, "
    "database or worker). Nothing is wrong with your files; ask for it again once the service's "
    "operator has looked into it.",
    param=None,
)


class Outcomes:
    """Each method writes within a transaction in which the caller has checked the claim. Work whose
    subject is over already is only removed."""

    def is_over(self, _connection: Connection, _scope: Scope, _subject_id: str, /) -> bool:
        """Whether the subject has ended, so that nothing is left to do."""
        return False  # where its work goes with it

    def leave(self, connection: Connection, scope: Scope, subject_id: str) -> None:
        """The subject is no longer being worked on, and waits; some kinds show no difference."""

    def end(self, connection: Connection, scope: Scope, subject_id: str, error: JobError) -> None:
        """Write down that the subject has failed for good; asked for only where it may end."""

    def give_back(
        self,
        connection: Connection,
        scope: Scope,
        claim: Claim,
        event: NewEvent,
        *,
        pause_seconds: float = 0.0,
    ) -> None:
        """To the queue again, and nobody is to blame. Only jobs keep the event."""
        if self._drop_if_over(connection, scope, claim):
            return
        self.leave(connection, scope, claim.subject_id)
        self.tell(connection, scope, claim.subject_id, event)
        WorkRepository(connection).release(claim, failed=False, pause_seconds=pause_seconds)

    def lose(
        self,
        connection: Connection,
        scope: Scope,
        claim: Claim,
        reason: str,
        *,
        limit: int = INFRASTRUCTURE_FAILURES,
        last_error: JobError = GAVE_UP,
    ) -> None:
        """To the queue again, as a failure; the subject fails with `last_error` at `limit` in a
        row."""
        if self._drop_if_over(connection, scope, claim):
            return
        failures = WorkRepository(connection).release(claim, failed=True)
        if failures >= limit and self.may_end(connection, scope, claim.subject_id):
            self.fail(connection, scope, claim, last_error)
            return
        self.leave(connection, scope, claim.subject_id)
        self.tell_lost(connection, scope, claim.subject_id, reason)

    def fail(self, connection: Connection, scope: Scope, claim: Claim, error: JobError) -> None:
        """The subject has failed for good; one that may not end now meets the fault again."""
        if self._drop_if_over(connection, scope, claim):
            return
        if not self.may_end(connection, scope, claim.subject_id):
            self.lose(connection, scope, claim, error.message.rstrip("."))
            return
        self.end(connection, scope, claim.subject_id, error)
        WorkRepository(connection).remove(claim.kind, claim.subject_id)

    def may_end(self, _connection: Connection, _scope: Scope, _subject_id: str, /) -> bool:
        """Whether a failure may end it at this moment."""
        return True

    def tell(self, connection: Connection, scope: Scope, subject_id: str, event: NewEvent) -> None:
        """Say to the subject's owner why it waits; most kinds say nothing."""

    def tell_lost(self, connection: Connection, scope: Scope, subject_id: str, reason: str) -> None:
        """Say to the subject's owner that an attempt was lost; most kinds say nothing."""

    def _drop_if_over(self, connection: Connection, scope: Scope, claim: Claim) -> bool:
        over = self.is_over(connection, scope, claim.subject_id)
        if over:
            WorkRepository(connection).remove(claim.kind, claim.subject_id)
        return over
