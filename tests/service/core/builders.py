"""Rows for tests, with everything that a test does not care about filled in."""

from sqlalchemy import Connection

from service.core.domain.access import Scope
from service.core.domain.jobs import FineTuningJob, StartPoint
from service.core.domain.tunings import LoraTuningSpec
from service.core.hyperparameters import Hyperparameters
from service.core.ids import new_job_id, tuned_model_name
from service.core.repositories.jobs import JobRepository


def add_job(
    connection: Connection,
    scope: Scope,
    *,
    base: str = "tiny",
    metadata: dict[str, str] | None = None,
    start: StartPoint | None = None,
) -> FineTuningJob:
    """A job that is validating its files."""
    return JobRepository(connection, scope).add(
        new_job_id(),
        model=base,
        base=base,
        training_file="file-train",
        validation_file=None,
        suffix=None,
        seed=1,
        hyperparameters=Hyperparameters(),
        tuning=LoraTuningSpec(),
        reserved_model_name=tuned_model_name(base, scope.organization, None),
        metadata=metadata,
        start=start,
    )
