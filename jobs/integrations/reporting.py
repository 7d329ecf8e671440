"""A job's integrations while it trains. What fails here is told as a warning and hurts nothing."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.integrations.wandb_run import News, WandbRun
from jobs.methods.reporting import StepReport
from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.recorder import finite
from service.core.database import Connection
from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import FineTuningJob, NewEvent
from service.core.encryption import Cipher
from service.core.errors import DatabaseUnavailable, IntegrationUnavailable, ServiceError
from service.core.repositories.events import EventRepository
from service.core.repositories.integrations import IntegrationRepository
from service.core.settings import Settings, Variables, inherited_environment

logger = logging.getLogger(__name__)

_FINISH_SECONDS = 30.0
_PACKAGE = "wandb"


def require_packages(job: FineTuningJob) -> None:
    """Raises IntegrationUnavailable for a job that this installation cannot report on."""
    if job.integrations and find_spec(_PACKAGE) is None:
        raise IntegrationUnavailable(
            "This server's worker cannot report to W&B: its operator has to install "
            "'tunery-server[wandb]' there. Without 'integrations' the job can run.",
            param="integrations",
        )


class Reporter:
    """What an attempt tells to outside. Begins with the first report: an attempt that waits for an
    engine has nothing to tell."""

    def __init__(self, attempt: Attempt, job: FineTuningJob) -> None:
        self._attempt = attempt
        self._job = job
        self._runs: list[WandbRun] | None = None
        self._home = TemporaryDirectory(prefix="tunery-wandb-")
        self._untold: list[NewEvent] = []

    def report(self, report: StepReport) -> None:
        """Log a step's metrics. Raises StaleEpoch."""
        if self._runs is None:
            self._runs = list(self._begin())
        for run in self._runs:
            run.log(report.step, {**finite(report.metrics), "epoch": report.epoch})
        self._take_news()
        with suppress(DatabaseUnavailable):  # with the next step then
            self._tell(self._attempt.writing())

    def finish(self) -> None:
        """The job has succeeded; metrics that are on their way may arrive."""
        for run in self._runs or ():
            summary = {"fine_tuned_model": self._job.reserved_model_name}
            run.finish(summary, seconds=_FINISH_SECONDS)
        self._take_news()
        try:
            self._tell(self._attempt.resources.database.transaction())
        except ServiceError as error:
            logger.warning("what W&B said to %s at its end is lost: %s", self._job.id, error)
        self._runs = []

    def close(self) -> None:
        for run in self._runs or ():
            run.abandon()
        self._home.cleanup()

    def _begin(self) -> Iterator[WandbRun]:
        for wandb in self._job.integrations:
            try:
                yield _begin(self._attempt, self._job, wandb, Path(self._home.name))
            except (ServiceError, OSError) as error:
                self._untold.append(_event_of(News(problem=str(error))))

    def _take_news(self) -> None:
        for run in self._runs or ():
            self._untold += map(_event_of, run.take_news())

    def _tell(self, writing: AbstractContextManager[Connection]) -> None:
        if self._untold:
            with writing as connection:
                EventRepository(connection, self._attempt.scope).append(self._job.id, self._untold)
            self._untold = []


@contextmanager
def reporting(attempt: Attempt, job: FineTuningJob) -> Iterator[Reporter]:
    """For the time of an attempt."""
    reporter = Reporter(attempt, job)
    try:
        yield reporter
    finally:
        reporter.close()


def _begin(attempt: Attempt, job: FineTuningJob, wandb: WandbIntegration, home: Path) -> WandbRun:
    """Raises ServiceError, OSError."""
    require_packages(job)
    settings = attempt.resources.settings
    key = _key(attempt) if settings.wandb_mode == "online" else None
    beginning = {"run": _run_of(job, wandb), "settings": _settings_of(settings, job, home, key)}
    return WandbRun(beginning, _environment(home), secret=key)


def _key(attempt: Attempt) -> str:
    with attempt.reading() as connection:
        secret = IntegrationRepository(connection, attempt.scope).get("wandb")
    return Cipher.from_settings(attempt.resources.settings).open(secret.sealed)


def _run_of(job: FineTuningJob, wandb: WandbIntegration) -> Mapping[str, Any]:
    """The job's id is the run's, so that a later attempt goes on in it."""
    return {
        "id": job.id,
        "project": wandb.project,
        "entity": wandb.entity,
        "name": wandb.name or job.id,
        "tags": ["openai/finetune", f"openai/{job.base}"[:64], f"openai/{job.id}", *wandb.tags],
        "config": {
            "model": job.model,
            "training_file": job.training_file,
            "validation_file": job.validation_file,
            "seed": job.seed,
            "method": vars(job.method),
            "hyperparameters": vars(job.resolved) if job.resolved else None,
            "tuning": vars(job.tuning),
        },
    }


def _settings_of(
    settings: Settings, job: FineTuningJob, home: Path, key: str | None
) -> Mapping[str, Any]:
    """Offline runs are kept for `wandb sync`; what is sent needs no copy."""
    folder = home
    if settings.wandb_mode == "offline":
        folder = settings.data_dir / "wandb" / job.project_id
        folder.mkdir(parents=True, exist_ok=True)
    base = {"base_url": settings.wandb_base_url} if settings.wandb_base_url else {}
    return {"mode": settings.wandb_mode, "root_dir": str(folder), "api_key": key, **base}


def _environment(home: Path) -> Variables:
    """Neither the operator's own W&B settings nor what lies in their home folder."""
    inherited = inherited_environment()
    own = {name: value for name, value in inherited.items() if not name.startswith("WANDB_")}
    return {
        **own,
        "HOME": str(home),
        "NETRC": str(home / "none"),
        "WANDB_ERROR_REPORTING": "false",  # telemetry of the client itself
    }


def _event_of(news: News) -> NewEvent:
    return events.reported_to_wandb(news.url) if news.url else events.wandb_failed(news.problem)
