"""Random histories of several jobs, workers and reconcilers: what is promised holds throughout."""

import dataclasses
from collections.abc import Callable
from itertools import count
from typing import ClassVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update

from jobs.reconciler.rounds import Reconciler
from jobs.runner import events
from jobs.runner.attempt import Attempt, claim_best, claim_subject, work_on
from jobs.runner.checkpoints import record_save
from jobs.runner.control import AttemptControl, Paused
from jobs.runner.outcomes import outcomes_of
from jobs.runner.publish import publish
from jobs.runner.resources import Resources, WorkerProcess
from jobs.runner.session import StoredSave
from jobs.runner.training import begin
from jobs.runner.validation import validate_files
from service.core.database import database_now, upgrade
from service.core.domain.jobs import FineTuningJob, JobStatus
from service.core.domain.work import WorkKind
from service.core.engine_protocol import SessionOpened, StoredFile
from service.core.errors import InvalidTransition, StaleEpoch
from service.core.ledger import Ledger
from service.core.lifecycle import TERMINAL
from service.core.repositories.access import AccessRepository
from service.core.repositories.registry import RegistryRepository
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.core.tables import models, work
from tests.fakes.engine import FakeEngine
from tests.jobs.shop import Shop

pytestmark = pytest.mark.usefixtures("engine")

_numbers = count()

OPENED = SessionOpened(session="s", base_digest="b", trainable_parameters=1, next_seq=1)


def save(attempt: Attempt, job: FineTuningJob, step: int) -> None:
    """What the runner does with a save that the engine has stored."""
    files = tuple(
        StoredFile(name=f"{part}/file", bytes=1, sha256="0" * 64) for part in ("adapter", "state")
    )
    record_save(
        attempt,
        job,
        StoredSave(f"step-{step:06d}", files),
        step=step,
        base_digest="b",
        metrics={},
        artefacts={},
    )


_ATTEMPTS = st.integers(0, 3)
"""Which of the attempts begun so far acts, counted from the newest; most of the others are
stale."""
_JOBS = st.integers(0, 2)


class Histories(RuleBasedStateMachine):
    """Each example is an organisation and a pool of its own in one database."""

    given: ClassVar[Resources]

    def __init__(self) -> None:
        super().__init__()
        resources = self.given
        number = next(_numbers)
        pool = {"pool": f"p{number}", "lease_seconds": 3600}
        self.resources = dataclasses.replace(
            resources, settings=resources.settings.model_copy(update=pool)
        )
        with resources.database.transaction() as connection:
            scope = AccessRepository(connection).ensure_default_project(f"org-{number}")
        self.shop = Shop(self.resources, scope)
        self.jobs: list[str] = []
        self.attempts: list[Attempt] = []
        self.ended: dict[str, JobStatus] = {}

    def teardown(self) -> None:
        with self.shop.database.transaction() as connection:
            connection.execute(delete(work).where(work.c.project_id == self.shop.scope.project_id))

    # What users do

    @initialize()
    def begin_with_a_queued_job(self) -> None:
        self.create()
        self.validate(0)

    @precondition(lambda self: len(self.jobs) < 3)
    @rule()
    def create(self) -> None:
        self.jobs.append(self.shop.create_job())

    @rule(which=_JOBS, really=st.booleans())
    def cancel(self, which: int, really: bool) -> None:
        if really and which < len(self.jobs):
            try:
                self.shop.cancel(self.jobs[which])
            except InvalidTransition:
                assert self.jobs[which] in self.ended

    @rule(which=_JOBS, resumes=st.booleans())
    def pause_or_resume(self, which: int, resumes: bool) -> None:
        if which >= len(self.jobs):
            return
        job_id = self.jobs[which]
        if resumes and self.shop.status(job_id) is JobStatus.PAUSED:
            self.shop.resume(job_id)
        elif self.shop.status(job_id) in (JobStatus.QUEUED, JobStatus.RUNNING):
            self.shop.pause(job_id)

    # What workers do

    @rule(which=_JOBS)
    def validate(self, which: int) -> None:
        if which < len(self.jobs):
            claim = claim_subject(self.resources, WorkKind.VALIDATION, self.jobs[which])
            if claim is not None:
                work_on(self.resources, claim, AttemptControl(), validate_files)

    @rule()
    def start_an_attempt(self) -> None:
        self.shop.end_pauses()
        claim = claim_best(self.resources, WorkKind.TRAINING)
        if claim is None:
            return
        for other in self.attempts:
            if other.claim.subject_id == claim.subject_id:
                assert other.claim.epoch < claim.epoch
        attempt = Attempt(self.resources, claim, self.shop.scope, AttemptControl())
        begin(attempt, self.shop.job(claim.subject_id))
        self.attempts.append(attempt)

    def act(self, which: int, action: Callable[[Attempt], None]) -> None:
        """Succeeds for the current attempt of a job, and is refused to every other."""
        if not any(map(self.is_current, self.attempts)):
            self.start_an_attempt()
        if not self.attempts:
            return
        attempt = self.attempts[-1 - which % len(self.attempts)]
        current = self.is_current(attempt)
        before = self.shop.events(attempt.claim.subject_id)
        try:
            action(attempt)
        except StaleEpoch:
            assert not current
            assert self.shop.events(attempt.claim.subject_id) == before
        except Paused:
            assert attempt.control.is_asked_to_pause
            assert current
        else:
            assert current

    def is_current(self, attempt: Attempt) -> bool:
        with self.shop.database.snapshot() as connection:
            row = connection.execute(
                select(work.c.epoch, work.c.owner).where(work.c.id == attempt.claim.work_id)
            ).first()
        return row == (attempt.claim.epoch, attempt.claim.owner)

    @rule(which=_ATTEMPTS, step=st.integers(1, 9))
    def store_a_checkpoint(self, which: int, step: int) -> None:
        def record(attempt: Attempt) -> None:
            save(attempt, self.shop.job(attempt.claim.subject_id), step)

        self.act(which, record)

    @rule(which=_ATTEMPTS)
    def finish(self, which: int) -> None:
        def finish(attempt: Attempt) -> None:
            job = self.shop.job(attempt.claim.subject_id)
            save(attempt, job, 10)
            publish(attempt, job, OPENED, [], Ledger())

        self.act(which, finish)

    @rule(which=_ATTEMPTS)
    def drain(self, which: int) -> None:
        def give_back(attempt: Attempt) -> None:
            with attempt.writing() as connection:
                event = events.attempt_lost("drained")
                outcomes_of(attempt.claim.kind).give_back(
                    connection, attempt.scope, attempt.claim, event
                )

        self.act(which, give_back)

    @rule(which=_ATTEMPTS)
    def fail_for_the_machinery(self, which: int) -> None:
        def lose(attempt: Attempt) -> None:
            with attempt.writing() as connection:
                outcomes_of(attempt.claim.kind).lose(
                    connection, attempt.scope, attempt.claim, "lost", limit=3
                )

        self.act(which, lose)

    # What time does

    @rule(which=_ATTEMPTS)
    def a_worker_falls_silent(self, which: int) -> None:
        if self.attempts:
            attempt = self.attempts[-1 - which % len(self.attempts)]
            with self.shop.database.transaction() as connection:
                connection.execute(
                    update(work)
                    .where(work.c.id == attempt.claim.work_id, work.c.owner.is_not(None))
                    .values(lease_until=database_now() - 1)
                )

    @rule()
    def reconcile(self) -> None:
        Reconciler(self.shop.database, self.resources.doorbell).round()

    # What is promised

    @invariant()
    def the_promises_hold(self) -> None:
        statuses = {job_id: self.shop.status(job_id) for job_id in self.jobs}
        self.what_is_over_stays_as_it_is(statuses)
        with self.shop.database.snapshot() as connection:
            project = self.shop.scope.project_id
            open_work = connection.execute(
                select(work.c.kind, work.c.subject_id, work.c.owner, work.c.held).where(
                    work.c.project_id == project
                )
            ).all()
            published = connection.execute(
                select(models.c.job_id).where(models.c.project_id == project)
            ).scalars()
            assert sorted(published) == sorted(
                job_id for job_id, s in statuses.items() if s is JobStatus.SUCCEEDED
            )
        for kind, job_id, owner, held in open_work:
            status = statuses.pop(job_id)
            if kind == WorkKind.VALIDATION:
                assert status is JobStatus.VALIDATING_FILES
            else:
                waiting = {JobStatus.QUEUED, JobStatus.PAUSED}
                assert status in (waiting | {JobStatus.RUNNING} if owner else waiting)
                assert held == (status is JobStatus.PAUSED)
        assert set(statuses.values()) <= TERMINAL  # those without work

    def what_is_over_stays_as_it_is(self, statuses: dict[str, JobStatus]) -> None:
        for job_id, status in statuses.items():
            assert self.ended.get(job_id, status) is status
            if status in TERMINAL:
                self.ended[job_id] = status


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_promises_hold_in_random_histories(
    dialect: str,
    request: pytest.FixtureRequest,
    resources: Resources,
    engine: FakeEngine,
    settings: Settings,
    object_store: ObjectStore,
) -> None:
    if dialect == "sqlite":
        examine(resources)
        return
    url = request.getfixturevalue("postgres_url")
    upgrade(url)
    process = WorkerProcess(
        settings.model_copy(update={"database_url": url}),
        object_store,
        resources.codecs,
        worker="w",
    )
    with process.open() as on_postgres:
        with on_postgres.database.transaction() as connection:
            RegistryRepository(connection).report(engine.state())
        examine(on_postgres)


def examine(resources: Resources) -> None:
    machine = type("BoundHistories", (Histories,), {"given": resources})
    run_state_machine_as_test(machine, settings=_EXTENT)


_EXTENT = hypothesis_settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
