"""What is made here, each thing once: whoever asks again gets what is there already."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from tunery._calls import jobs as job_calls
from tunery._calls.jobs import JobRequest
from tunery._exceptions import NotFoundError
from tunery._sync import Tunery
from tunery._types import FineTuningJob
from tunery.migration.requests import Origin
from tunery.migration.state import StateFile

_LOST = ("failed", "cancelled")


class Target:
    """A Tunery server, and the notes on what it got.

    A file is known again by its name, which begins with the id it had, and its size; a job by its
    metadata. Between the two a request that is sent twice has one idempotency key.
    """

    def __init__(self, client: Tunery, notes: StateFile) -> None:
        self._client = client
        self._notes = notes
        self._uploaded: dict[tuple[str, int], str] | None = None

    def knows_model(self, name: str) -> bool:
        """Whether the name means anything here."""
        try:
            self._client.models.retrieve(name)
        except NotFoundError:
            return False
        return True

    def find_file(self, source_id: str, name: str, size: int) -> str | None:
        """The file here that was uploaded under this name, if any."""
        noted = self._notes.state.files.get(source_id)
        if noted is not None and self._has_file(noted):
            return noted
        if self._uploaded is None:
            files = self._client.files.list(purpose="fine-tune", limit=1000)
            self._uploaded = {(file.filename, file.bytes): file.id for file in files}
        return self._uploaded.get((name, size))

    def ensure_file(self, source_id: str, path: Path) -> str:
        """The id here. `path` is named after its source id. Raises APIError."""
        file_id = self.find_file(source_id, path.name, path.stat().st_size)
        if file_id is None:
            file_id = self._client.files.upload(path).id
        if self._notes.state.files.get(source_id) != file_id:
            self._notes.state.files[source_id] = file_id
            self._notes.save()
        return file_id

    def find_job(self, origin: Origin, *, retry_failed: bool = False) -> FineTuningJob | None:
        """The job here of this origin, the newest if there are several; with `retry_failed` none
        that failed or was cancelled."""
        made = self._noted_job(origin) or self._made_from(origin)
        good = [job for job in made if not (retry_failed and job.status in _LOST)]
        return good[0] if good else None

    def create_job(self, origin: Origin, request: JobRequest) -> FineTuningJob:
        """Call it if `find_job` finds none. Raises APIError."""
        attempt = len(self._made_from(origin))
        written = json.dumps([str(origin), attempt, request], sort_keys=True)
        key = f"tunery-migrate-{hashlib.sha256(written.encode()).hexdigest()}"
        call = replace(job_calls.create(request), headers={"Idempotency-Key": key})
        job = self._client.perform(call)
        self.note_job(origin, job.id)
        return job

    def note_job(self, origin: Origin, job_id: str) -> None:
        if self._notes.state.jobs.get(str(origin)) != job_id:
            self._notes.state.jobs[str(origin)] = job_id
            self._notes.save()

    def name(self, alias: str, model: str) -> None:
        """Let the foreign name mean this model, unless that was done before: it may have been
        pointed elsewhere since. Raises APIError."""
        if self._notes.state.names.get(alias) == model and self.knows_model(alias):
            return
        self._client.models.aliases.set(alias, model=model)
        self._notes.state.names[alias] = model
        self._notes.save()

    def _noted_job(self, origin: Origin) -> list[FineTuningJob]:
        noted = self._notes.state.jobs.get(str(origin))
        try:
            return [] if noted is None else [self._client.fine_tuning.jobs.retrieve(noted)]
        except NotFoundError:
            return []

    def _made_from(self, origin: Origin) -> list[FineTuningJob]:
        return list(self._client.fine_tuning.jobs.list(metadata=origin.metadata()))

    def _has_file(self, file_id: str) -> bool:
        try:
            self._client.files.retrieve(file_id)
        except NotFoundError:
            return False
        return True
