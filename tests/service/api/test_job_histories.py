"""Whatever callers and workers do in whatever order, a job's status moves along the table."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection

from service.core.domain.jobs import JobStatus
from service.core.domain.work import Claim, WorkKind, WorkRequest
from service.core.errors import StaleEpoch
from service.core.lifecycle import MOVES, TERMINAL
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi

NEXT = {WorkKind.VALIDATION: JobStatus.QUEUED, WorkKind.TRAINING: JobStatus.SUCCEEDED}
"""What a job becomes when its work of a kind is done."""


class JobHistories(RuleBasedStateMachine):
    """Several jobs of one project: callers over HTTP, workers through the repositories."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, api: RunningApi) -> None:
        super().__init__()
        self.api = api
        tenant = api.new_tenant()
        self.scope = tenant.principal.scope
        self.http = api.client(tenant)
        files = {"file": ("rows.jsonl", b"{}")}
        upload = self.http.post("/v1/files", data={"purpose": "fine-tune"}, files=files)
        self.file_id = upload.json()["id"]
        self.seen: dict[str, JobStatus] = {}

    @rule(target=jobs)
    def create(self) -> str:
        body = {"model": FAKE_BASE.name, "training_file": self.file_id}
        job = self.http.post("/v1/fine_tuning/jobs", json=body).json()
        self.seen[job["id"]] = JobStatus(job["status"])
        assert job["status"] == "validating_files"
        return str(job["id"])

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        before = self.status(job_id)
        response = self.http.post(f"/v1/fine_tuning/jobs/{job_id}/cancel")
        if before in TERMINAL:
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "job_not_cancellable"
        else:
            assert response.json()["status"] == "cancelled"

    @rule(job_id=jobs)
    def pause(self, job_id: str) -> None:
        before = self.status(job_id)
        response = self.http.post(f"/v1/fine_tuning/jobs/{job_id}/pause")
        if before in (JobStatus.QUEUED, JobStatus.RUNNING):
            assert response.json()["status"] == "paused"
        else:
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "job_not_pausable"

    @rule(job_id=jobs)
    def resume(self, job_id: str) -> None:
        before = self.status(job_id)
        response = self.http.post(f"/v1/fine_tuning/jobs/{job_id}/resume")
        if before is JobStatus.PAUSED:
            assert response.json()["status"] == "queued"
        else:
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "job_not_resumable"

    @rule(target=claims, job_id=jobs, kind=st.sampled_from(WorkKind))
    def claim(self, job_id: str, kind: WorkKind) -> Claim | None:
        with self.api.database.transaction() as connection:
            work = WorkRepository(connection)
            claim = work.claim(kind, job_id, worker="w", lease_seconds=60)
            if claim is not None and kind is WorkKind.TRAINING:
                JobRepository(connection, self.scope).move(job_id, JobStatus.RUNNING)
        return claim

    @rule(claim=claims, lost=st.booleans())
    def end_attempt(self, claim: Claim | None, *, lost: bool) -> None:
        """Done, or given back: either way only with a claim that still holds."""
        if claim is None:
            return
        fenced = self.status(claim.subject_id) in TERMINAL
        try:
            with self.api.database.transaction() as connection:
                self._end(WorkRepository(connection), connection, claim, lost=lost)
        except StaleEpoch:
            return
        assert not fenced, "a claim on a finished job must be lost"

    def _end(
        self, work: WorkRepository, connection: Connection, claim: Claim, *, lost: bool
    ) -> None:
        jobs = JobRepository(connection, self.scope)
        if lost or work.check(claim) is WorkRequest.PAUSE:
            work.release(claim, failed=False)
            if jobs.get(claim.subject_id).status is JobStatus.RUNNING:
                jobs.move(claim.subject_id, JobStatus.QUEUED)
            return
        work.finish(claim)
        jobs.move(claim.subject_id, NEXT[claim.kind])
        if claim.kind is WorkKind.VALIDATION:
            project = self.scope.project_id
            work.add(project, WorkKind.TRAINING, claim.subject_id, pool="default")

    @invariant()
    def every_change_is_a_move_of_the_table(self) -> None:
        for job_id, before in self.seen.items():
            status = self.status(job_id)
            assert status == before or status in MOVES[before]
            self.seen[job_id] = status

    def status(self, job_id: str) -> JobStatus:
        return JobStatus(self.http.get(f"/v1/fine_tuning/jobs/{job_id}").json()["status"])

    def teardown(self) -> None:
        self.http.close()


def test_random_histories_move_along_the_table(api: RunningApi, engine: FakeEngine) -> None:
    assert engine.bases[0].name == FAKE_BASE.name
    run_state_machine_as_test(
        lambda: JobHistories(api),  # type: ignore[arg-type]
        settings=settings(
            max_examples=10,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_a_cancelled_job_leaves_no_work(api: RunningApi, engine: FakeEngine) -> None:
    tenant = api.new_tenant()
    with api.client(tenant) as http:
        files = {"file": ("rows.jsonl", b"{}")}
        file = http.post("/v1/files", data={"purpose": "fine-tune"}, files=files).json()
        body = {"model": engine.bases[0].name, "training_file": file["id"]}
        job_id = http.post("/v1/fine_tuning/jobs", json=body).json()["id"]
        with api.database.transaction() as connection:
            work = WorkRepository(connection)
            claim = work.claim(WorkKind.VALIDATION, job_id, worker="w", lease_seconds=60)
        assert claim is not None

        http.post(f"/v1/fine_tuning/jobs/{job_id}/cancel")

    with pytest.raises(StaleEpoch), api.database.transaction() as connection:
        WorkRepository(connection).check(claim)
