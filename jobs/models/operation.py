"""What attempts at imports and exports share: the operation's row, and the way to its end."""

from collections.abc import Callable, Mapping
from typing import Any

from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from service.core.database import Connection
from service.core.domain.operations import Operation
from service.core.errors import StorageUnavailable
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository


def begin(attempt: Attempt) -> Operation:
    """The operation, which is running from now on. Raises StaleEpoch."""

    def write() -> Operation:
        with attempt.writing() as connection:
            operations = OperationRepository(connection, attempt.scope)
            operations.begin(attempt.claim.subject_id)
            return operations.get(attempt.claim.subject_id)

    return patiently(attempt.control, write)


def note_progress(attempt: Attempt, progress: float) -> None:
    """Raises StaleEpoch, Drained."""

    def write() -> None:
        with attempt.writing() as connection:
            operations = OperationRepository(connection, attempt.scope)
            operations.note_progress(attempt.claim.subject_id, progress)

    patiently(attempt.control, write)


def succeed(
    attempt: Attempt, result: Mapping[str, Any], publish: Callable[[Connection], None]
) -> None:
    """One transaction: what `publish` writes, the result, the end of the work. Raises
    StaleEpoch."""

    def commit() -> None:
        with attempt.writing() as connection:
            publish(connection)
            OperationRepository(connection, attempt.scope).succeed(attempt.claim.subject_id, result)
            WorkRepository(connection).finish(attempt.claim)

    patiently(attempt.control, commit)


def clear(attempt: Attempt, prefix_of: Callable[[int], str], epochs: range) -> None:
    """Delete what attempts have stored that published nothing. A store that does not answer keeps
    it: that costs space and nothing else."""
    try:
        for epoch in epochs:
            attempt.resources.store.delete_prefix(prefix_of(epoch))
    except StorageUnavailable:
        return
