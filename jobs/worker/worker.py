"""RQ's worker without its gaps; each override names the one it closes.

The overrides lean on the inside of rq 3.0, so the version is pinned and a test holds each.
"""

import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs.worker.drain import DRAIN_SIGNAL, hold_back_drain_signal
from jobs.worker.parent_death import die_with_parent
from jobs.worker.safe_job import SafeJob

logger = logging.getLogger(__name__)

_LONGEST_REDIS_PAUSE_SECONDS = 2.0
_TTL_SECONDS = 60
"""Of the registration; also the longest wait in one BLMOVE, less 15 s, after which maintenance
gets its turn. RQ's own 420 s would leave dead registrations standing for minutes."""


class HorseWorker(Worker):
    """Listens to exactly one queue: only then is the hand-over from Redis reliable (BLMOVE)."""

    max_connection_wait_time = _LONGEST_REDIS_PAUSE_SECONDS

    def __init__(
        self,
        queue: str,
        *,
        name: str,
        connection: Redis,
        job_class: type[SafeJob],
        on_horse_lost: Callable[[], object],
    ) -> None:
        """`on_horse_lost` is called after a horse that did not end by itself."""
        super().__init__(
            [queue],
            name=name,
            connection=connection,
            job_class=job_class,
            serializer=JSONSerializer,
            worker_ttl=_TTL_SECONDS,
            maintenance_interval=_TTL_SECONDS,
            log_job_description=False,  # it is text out of Redis
        )
        self._on_horse_lost = on_horse_lost
        self._horse_ended_well = True
        hold_back_drain_signal()

    def register_birth(self) -> None:
        """The name is ours: a registration under it is of a former self that was killed."""
        self.connection.delete(self.key, self.executions_key)
        super().register_birth()  # type: ignore[no-untyped-call]

    def subscribe(self) -> None:
        """No commands through Redis: cancel lives in SQL, and no thread stands beside the forks."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""

    # A Redis that is away must not end a worker whose horse trains

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        try:
            super().maintain_heartbeats(job, execution)
        except RedisError as error:
            self.log.warning("Worker %s: no heartbeat to Redis: %s", self.name, error)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        try:
            super().heartbeat(timeout, pipeline)
        except RedisError:
            if not self.horse_pid:
                raise

    def set_shutdown_requested_date(self) -> None:
        try:
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        except RedisError as error:
            self.log.warning("Worker %s: shutdown is not noted in Redis: %s", self.name, error)

    # The horse

    def execute_job(self, job: Job, queue: Queue) -> None:
        self._horse_ended_well = True
        try:
            super().execute_job(job, queue)
        finally:
            if not self._horse_ended_well:
                self._on_horse_lost()

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        super().fork_work_horse(job, queue)
        if self._stop_requested:  # the request came before there was a horse to forward it to
            self.kill_horse(DRAIN_SIGNAL)

    def setup_work_horse_signals(self) -> None:
        """RQ leaves an orphan training on when its worker is killed."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        assert self.pid is not None
        die_with_parent(self.pid)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        pid, status, usage = super().wait_for_horse()
        self._horse_ended_well = status == os.EX_OK
        return pid, status, usage

    def handle_warm_shutdown_request(self) -> None:
        """RQ would wait for the whole job; ours gives it back."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self.kill_horse(DRAIN_SIGNAL)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """By pid: until the horse has its own process group, RQ's killpg would hit ours."""
        if not self.horse_pid:
            return
        try:
            os.kill(self.horse_pid, sig)
        except ProcessLookupError:
            self.log.debug("Worker %s: the horse is already gone", self.name)
