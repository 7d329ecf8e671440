"""Metrics of a job arrive at W&B's own client, and nothing there touches the job."""

import base64
import sys
from collections.abc import Mapping

import pytest

from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import EventLevel, JobStatus
from service.core.encryption import Cipher
from service.core.engine_protocol import Command, OptimStep
from service.core.errors import EngineUnavailable
from service.core.repositories.integrations import IntegrationRepository
from service.core.settings import Settings
from tests.fakes.engine import FakeEngine
from tests.fakes.receiver import Receiver, running_receiver
from tests.jobs.integrations.wandb_file import OfflineRun, read_runs
from tests.jobs.shop import OTHER_LINES, Shop

WANDB = WandbIntegration("tuning", name="first", entity="acme", tags=("nightly",))
KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def wandb_settings() -> Mapping[str, object]:
    return {"wandb_mode": "offline"}


@pytest.fixture
def settings(settings: Settings, wandb_settings: Mapping[str, object]) -> Settings:
    return settings.model_copy(update=wandb_settings)


@pytest.fixture
def job_id(shop: Shop, engine: FakeEngine) -> str:
    """A queued job that reports."""
    assert engine.sessions == {}
    queued = shop.create_job(validation_lines=OTHER_LINES, integrations=[WANDB])
    assert shop.validate(queued).status is JobStatus.QUEUED
    return queued


def step_of(command: Command) -> int | None:
    return command.step if isinstance(command, OptimStep) else None


def runs(shop: Shop) -> list[OfflineRun]:
    return read_runs(shop.resources.settings.data_dir / "wandb" / shop.scope.project_id)


def test_a_run_has_every_step_and_says_what_it_is(shop: Shop, job_id: str) -> None:
    shop.train()

    job = shop.job(job_id)
    (run,) = runs(shop)
    assert (run.id, run.project, run.entity, run.name) == (job_id, "tuning", "acme", "first")
    assert {*run.tags} == {
        *("openai/finetune", f"openai/{job.base}", f"openai/{job_id}", "nightly")
    }
    assert run.config["hyperparameters"] == vars(job.resolved)
    assert run.config["training_file"] == job.training_file
    logged = {row["_step"]: row for row in run.history}
    for event in shop.events(job_id):
        if event.type == "metrics":
            row = logged.pop(event.data["step"])
            told = {k: v for k, v in event.data.items() if k in row}
            assert {"epoch"} < {*told}
            assert {k: row[k] for k in told} == told
    assert logged == {}
    assert run.summary["fine_tuned_model"] == job.reserved_model_name
    assert run.exit_code == 0
    assert [e for e in shop.events(job_id) if e.level is EventLevel.WARN] == []


def test_a_job_without_the_integration_reports_nothing(shop: Shop, engine: FakeEngine) -> None:
    plain = shop.create_job()
    shop.validate(plain)
    shop.train()
    assert shop.status(plain) is JobStatus.SUCCEEDED
    assert runs(shop) == []
    assert engine.sessions == {}


def test_an_attempt_that_ends_early_leaves_an_unfinished_run_to_the_next(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    lost = EngineUnavailable("the device went away")
    engine.fail_commands(lambda command: lost if step_of(command) == 5 else None)
    shop.train()
    engine.fail_commands(lambda _: None)
    assert shop.status(job_id) is JobStatus.QUEUED
    shop.train()
    assert shop.status(job_id) is JobStatus.SUCCEEDED

    first, last = runs(shop)
    assert first.id == last.id == job_id
    assert (first.exit_code, last.exit_code) == (1, 0)


def test_a_worker_without_the_package_refuses_the_job_by_name(
    shop: Shop, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.sessions == {}
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    job = shop.validate(shop.create_job(integrations=[WANDB]))
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.param) == ("integration_unavailable", "integrations")
    assert "tunery-server[wandb]" in job.error.message


class TestOnline:
    """Against a server that is none of W&B's."""

    @pytest.fixture
    def server(self) -> "Receiver":
        with running_receiver() as receiver:
            receiver.content = '{"errors": [{"message": "no such key: ' + KEY + '"}]}'
            receiver.replies = [(401, {})] * 100
            yield receiver

    @pytest.fixture
    def wandb_settings(self, server: Receiver) -> Mapping[str, object]:
        return {"wandb_mode": "online", "wandb_base_url": server.url.removesuffix("/hook")}

    def store_key(self, shop: Shop) -> None:
        sealed = Cipher.from_settings(shop.resources.settings).seal(KEY)
        with shop.database.transaction() as connection:
            IntegrationRepository(connection, shop.scope).put("wandb", sealed=sealed, hint="…4567")

    def problem(self, shop: Shop, job_id: str) -> str:
        (warning,) = [e for e in shop.events(job_id) if e.level is EventLevel.WARN]
        assert warning.data["code"] == "wandb_failed"
        assert "The training goes on" in warning.message
        return str(warning.data["problem"])

    def test_a_refusal_is_a_warning_and_the_key_stays_secret(
        self, shop: Shop, job_id: str, server: Receiver
    ) -> None:
        self.store_key(shop)
        shop.train()

        assert shop.status(job_id) is JobStatus.SUCCEEDED
        problem = self.problem(shop, job_id)
        assert "401" in problem
        assert KEY not in problem
        assert "no such key: …" in problem
        sent = base64.b64encode(f"api:{KEY}".encode()).decode()
        assert server.received[0].headers["authorization"] == f"Basic {sent}"
        assert {each.path for each in server.received} == {"/graphql"}  # and no telemetry

    def test_a_key_that_is_gone_is_a_warning(self, shop: Shop, job_id: str) -> None:
        shop.train()
        assert shop.status(job_id) is JobStatus.SUCCEEDED
        assert "no key" in self.problem(shop, job_id)
        assert runs(shop) == []
