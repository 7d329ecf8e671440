"""Legal status moves of a job. Pure; the repositories apply them by compare-and-set."""

from service.core.domain.jobs import JobStatus
from service.core.errors import InvalidTransition

S = JobStatus

MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    S.VALIDATING_FILES: frozenset({S.QUEUED, S.FAILED, S.CANCELLED}),
    S.QUEUED: frozenset({S.RUNNING, S.PAUSED, S.FAILED, S.CANCELLED}),
    # queued again: lease lost, drain, infrastructure
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.PAUSED, S.QUEUED}),
    S.PAUSED: frozenset({S.QUEUED, S.CANCELLED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
}

TERMINAL: frozenset[JobStatus] = frozenset(s for s, targets in MOVES.items() if not targets)


def sources_of(target: JobStatus) -> frozenset[JobStatus]:
    """Every status from which `target` may be reached in one move."""
    return frozenset(source for source, targets in MOVES.items() if target in targets)


def check_move(source: JobStatus, target: JobStatus) -> None:
    """Raises InvalidTransition unless the move is in the table."""
    if target not in MOVES[source]:
        raise InvalidTransition(f"a job that is {source} cannot become {target}")
