"""A job as a worker may run it. Whoever can write to Redis can name any function, callback or
address in a job; of all that, only the name of one of our tasks counts.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rq.job import Job, JobStatus


class TaskRefused(PermissionError):
    """A job in Redis names something else than a task of ours."""


class SafeJob(Job):
    """Looks functions up in an allow-list and imports none."""

    tasks: ClassVar[Mapping[str, Callable[[str], None]]] = {}

    @property
    def func(self) -> Callable[..., Any]:
        """Raises TaskRefused."""
        task = None if self.instance else self.tasks.get(self.func_name or "")
        if task is None:
            raise TaskRefused(f"{self.func_name!r} is no task of this worker")
        return task

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """None are sent."""


def safe_job_class(tasks: Mapping[str, Callable[[str], None]]) -> type[SafeJob]:
    """A job class that runs these tasks and nothing else."""
    return type("AllowListedJob", (SafeJob,), {"tasks": dict(tasks)})
