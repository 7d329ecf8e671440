"""What a job keeps from one attempt to the next beside checkpoints: objects, named in its row."""

from functools import partial

from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from service.core.domain.jobs import FineTuningJob
from service.core.object_keys import attempt_prefix
from service.core.repositories.jobs import JobRepository
from service.core.storage import ObjectNotFound


class JobArtefacts:
    """Of one attempt, which reads what earlier ones have kept."""

    def __init__(self, attempt: Attempt, job: FineTuningJob) -> None:
        self._attempt = attempt
        self._job = job

    def get(self, name: str) -> bytes | None:
        """None if it was never kept."""
        key = self._job.artefacts.get(name)
        if key is None:
            return None
        try:
            read = partial(self._attempt.resources.store.get_bytes, key)
            return patiently(self._attempt.control, read)
        except ObjectNotFound:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Object first, then the row that names it. Raises StaleEpoch."""
        key = self.store(name, content)

        def note() -> None:
            with self._attempt.writing() as connection:
                jobs = JobRepository(connection, self._attempt.scope)
                jobs.note_artefacts(self._job.id, {name: key})

        patiently(self._attempt.control, note)

    def store(self, name: str, content: bytes) -> str:
        """The object alone; its key."""
        attempt = self._attempt
        prefix = attempt_prefix(attempt.scope.project_id, self._job.id, attempt.claim.epoch)
        key = f"{prefix}{name}"
        patiently(attempt.control, partial(attempt.resources.store.put_bytes, key, content))
        return key
