"""Statuses move along the table, and nothing else moves them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.core.database import Database, upgrade
from service.core.domain.jobs import JobStatus
from service.core.errors import InvalidTransition
from service.core.lifecycle import MOVES, TERMINAL, check_move, sources_of
from service.core.repositories.access import AccessRepository
from service.core.repositories.jobs import JobRepository
from tests.service.core.builders import add_job

LEGAL = {
    ("validating_files", "queued"),
    ("validating_files", "failed"),
    ("validating_files", "cancelled"),
    ("queued", "running"),
    ("queued", "paused"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "paused"),
    ("running", "queued"),
    ("paused", "queued"),
    ("paused", "cancelled"),
}


@pytest.mark.parametrize("source", JobStatus)
@pytest.mark.parametrize("target", JobStatus)
def test_a_move_is_allowed_exactly_when_it_is_in_the_published_table(
    source: JobStatus, target: JobStatus
) -> None:
    if (source.value, target.value) in LEGAL:
        check_move(source, target)
        assert source in sources_of(target)
    else:
        with pytest.raises(InvalidTransition):
            check_move(source, target)
        assert source not in sources_of(target)


def test_succeeded_failed_and_cancelled_are_the_ends() -> None:
    assert {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED} == TERMINAL
    assert set(MOVES) == set(JobStatus)


class JobHistory(RuleBasedStateMachine):
    """Random requests to move one job, through the repository, against the table as a model."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        url = f"sqlite:///{Path(self._folder.name) / 'history.db'}"
        upgrade(url)
        self.database = Database(url)
        with self.database.transaction() as connection:
            self.scope = AccessRepository(connection).ensure_default_project("acme")
            self.job_id = add_job(connection, self.scope).id
        self.status = JobStatus.VALIDATING_FILES

    @rule(target_status=st.sampled_from(JobStatus))
    def ask_to_move(self, target_status: JobStatus) -> None:
        legal = (self.status.value, target_status.value) in LEGAL
        try:
            with self.database.transaction() as connection:
                JobRepository(connection, self.scope).move(self.job_id, target_status)
        except InvalidTransition:
            assert not legal
        else:
            assert legal
            self.status = target_status

    @invariant()
    def the_database_agrees(self) -> None:
        with self.database.snapshot() as connection:
            job = JobRepository(connection, self.scope).get(self.job_id)
        assert job.status == self.status
        assert (job.finished_at is not None) == (self.status in TERMINAL)

    def teardown(self) -> None:
        self.database.dispose()
        self._folder.cleanup()


TestRandomHistories = JobHistory.TestCase
TestRandomHistories.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
