"""The only producer into RQ. Redis is a doorbell: a ring says "look at the table", with an id.

A lost ring costs time, never work: the reconciler rings again whatever stays unclaimed.
"""

from collections.abc import Iterable

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer
from rq.worker_registration import get_keys

from service.core.database import Database
from service.core.domain.work import WorkItem, WorkKind
from service.core.errors import DatabaseUnavailable
from service.core.repositories.work import WorkRepository
from service.core.settings import Settings

TASKS: dict[WorkKind, str] = {
    WorkKind.VALIDATION: "jobs.tasks.validate",
    WorkKind.TRAINING: "jobs.tasks.train",
    WorkKind.WEBHOOK: "jobs.tasks.deliver_webhook",
    WorkKind.BATCH: "jobs.tasks.batch",
    WorkKind.IMPORT: "jobs.tasks.import_model",
    WorkKind.EXPORT: "jobs.tasks.export_model",
    WorkKind.FILE_REPORT: "jobs.tasks.report_on_file",
    WorkKind.VERIFICATION: "jobs.tasks.verify_job",
}
"""The allow-list: a worker refuses every other function name, whoever wrote it into Redis."""

_RING_SECONDS = 3600
"""An unanswered ring leaves Redis after this; the reconciler has rung again long before."""
_UNBOUNDED_SECONDS = 30 * 24 * 3600
"""RQ's own time limit; ours is the lease. -1 would let RQ declare a running job abandoned."""


def queue_name(kind: WorkKind, pool: str) -> str:
    """`train.<pool>` for training, `batch` for batches, which take hours, `models` for imports,
    exports and verifications, which take minutes, `webhooks` for what takes as long as a receiver
    likes; everything short shares one queue, so that validation never waits behind any of them."""
    match kind:
        case WorkKind.TRAINING:
            return f"train.{pool}"
        case WorkKind.BATCH:
            return "batch"
        case WorkKind.WEBHOOK:
            return "webhooks"
        case WorkKind.IMPORT | WorkKind.EXPORT | WorkKind.VERIFICATION:
            return "models"
        case WorkKind.VALIDATION | WorkKind.FILE_REPORT:
            return "short"


def connect_redis(settings: Settings) -> Redis:
    """A client that gives up quickly: nobody may wait for the doorbell."""
    return Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=2,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 2),
    )


def has_worker(redis: Redis, queue: str) -> bool:
    """Whether a worker listens to this queue. A killed worker's name stays in the queue's set, but
    its own key expires with its heartbeat. Raises RedisError."""
    names = get_keys(Queue(queue, connection=redis, serializer=JSONSerializer))
    return bool(names) and bool(redis.exists(*names))


class Doorbell:
    """Rings for due work."""

    def __init__(self, database: Database, redis: Redis, *, ring_again_seconds: float) -> None:
        self._database = database
        self._redis = redis
        self._ring_again_seconds = ring_again_seconds

    def ring_due(self) -> int:
        """Ring for everything due; returns how many. Raises RedisError, DatabaseUnavailable."""
        with self._database.snapshot() as connection:
            due = WorkRepository(connection).due(ring_again_seconds=self._ring_again_seconds)
        if not due:
            return 0
        self._ring(due)
        with self._database.transaction() as connection:
            WorkRepository(connection).mark_rung(due)
        return len(due)

    def try_ring_due(self) -> int:
        """Like `ring_due`, but Redis or the database being away is no error: the reconciler rings
        later."""
        try:
            return self.ring_due()
        except (RedisError, DatabaseUnavailable):
            return 0

    def _ring(self, items: Iterable[WorkItem]) -> None:
        for item in items:
            queue = Queue(
                queue_name(item.kind, item.pool), connection=self._redis, serializer=JSONSerializer
            )
            ring_id = f"{item.subject_id}-a{item.attempt}"
            if not _enqueue(queue, item, ring_id) and queue.get_job_position(ring_id) is None:
                # Redis knows the ring, but it no longer waits: the worker that took it died, or
                # works on something else that stood higher.
                _enqueue(queue, item, f"{ring_id}-again")


def _enqueue(queue: Queue, item: WorkItem, ring_id: str) -> bool:
    """Whether the ring is new; one that Redis still knows is not repeated."""
    try:
        queue.enqueue(
            TASKS[item.kind],
            item.subject_id,
            job_id=ring_id,
            job_timeout=_UNBOUNDED_SECONDS,
            ttl=_RING_SECONDS,
            result_ttl=0,
            failure_ttl=0,
            unique=True,
        )
    except DuplicateJobError:
        return False
    return True
