"""Jobs of one project. Every status move is a compare-and-set along the life cycle's table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from sqlalchemy import ColumnElement, Connection, Row, and_, exists, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import (
    DataFacts,
    FineTuningJob,
    JobError,
    JobProgress,
    JobStatus,
    StartPoint,
)
from service.core.domain.methods import Method, SupervisedMethod
from service.core.domain.tunings import TuningSpec
from service.core.domain.webhooks import WebhookEventType
from service.core.errors import InvalidTransition, JobNotFound
from service.core.hyperparameters import Hyperparameters, ResolvedHyperparameters
from service.core.lifecycle import TERMINAL, sources_of
from service.core.repositories.deliveries import emit
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import job_metadata, jobs

_METHOD: TypeAdapter[Method] = TypeAdapter(Annotated[Method, Field(discriminator="type")])
_TUNING: TypeAdapter[TuningSpec] = TypeAdapter(Annotated[TuningSpec, Field(discriminator="type")])
_START: TypeAdapter[StartPoint | None] = TypeAdapter(StartPoint | None)
_FACTS: TypeAdapter[DataFacts | None] = TypeAdapter(DataFacts | None)

_TOLD_BY_WEBHOOK = {
    JobStatus.SUCCEEDED: WebhookEventType.JOB_SUCCEEDED,
    JobStatus.FAILED: WebhookEventType.JOB_FAILED,
    JobStatus.CANCELLED: WebhookEventType.JOB_CANCELLED,
}


class JobRepository:
    """Jobs visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope

    def add(
        self,
        job_id: str,
        *,
        model: str,
        base: str,
        training_file: str,
        validation_file: str | None,
        suffix: str | None,
        seed: int,
        hyperparameters: Hyperparameters,
        tuning: TuningSpec,
        reserved_model_name: str,
        metadata: dict[str, str] | None,
        integrations: Sequence[WandbIntegration] = (),
        request_hash: str | None = None,
        method: Method | None = None,
        start: StartPoint | None = None,
        exact: bool = False,
    ) -> FineTuningJob:
        """A new job, `validating_files`. `request_hash` is what `find_repeated` looks for;
        `method` is supervised if not given."""
        method = method or SupervisedMethod()
        self._connection.execute(
            insert(jobs).values(
                id=job_id,
                project_id=self._scope.project_id,
                organization_id=self._scope.organization_id,
                status=JobStatus.VALIDATING_FILES,
                model=model,
                base=base,
                training_file=training_file,
                validation_file=validation_file,
                suffix=suffix,
                seed=seed,
                method=method.type,
                options=asdict(method),
                hyperparameters=asdict(hyperparameters),
                tuning=asdict(tuning),
                start_from=None if start is None else asdict(start),
                exact=exact,
                reserved_model_name=reserved_model_name,
                metadata=metadata,
                integrations=[asdict(integration) for integration in integrations],
                request_hash=request_hash,
                result_files=[],
                attempts=0,
                created_at=database_now(),
            )
        )
        if metadata:
            self._connection.execute(
                insert(job_metadata),
                [
                    {"job_id": job_id, "project_id": self._scope.project_id, "name": k, "value": v}
                    for k, v in metadata.items()
                ],
            )
        return self.get(job_id)

    def get(self, job_id: str) -> FineTuningJob:
        """Raises JobNotFound."""
        row = self._connection.execute(
            select(jobs).where(jobs.c.id == job_id, jobs.c.project_id == self._scope.project_id)
        ).first()
        if row is None:
            raise JobNotFound(f"Could not find fine tune: {job_id}", param="fine_tuning_job_id")
        return _to_domain(row)

    def reserves(self, model_name: str) -> bool:
        """Whether an unfinished job will publish a model of this name."""
        query = select(jobs.c.id).where(
            jobs.c.reserved_model_name == model_name,
            jobs.c.project_id == self._scope.project_id,
            jobs.c.status.not_in(sorted(TERMINAL)),
        )
        return self._connection.execute(query).first() is not None

    def find_repeated(self, request_hash: str, *, within_seconds: float) -> FineTuningJob | None:
        """The newest job that the same request made lately; None when there is none."""
        row = self._connection.execute(
            select(jobs)
            .where(
                jobs.c.project_id == self._scope.project_id,
                jobs.c.request_hash == request_hash,
                jobs.c.created_at > database_now() - within_seconds,
            )
            .order_by(jobs.c.created_at.desc())
            .limit(1)
        ).first()
        return None if row is None else _to_domain(row)

    def list(
        self,
        *,
        after: str | None,
        limit: int,
        metadata: Mapping[str, str] | None = None,
        without_metadata: bool = False,
    ) -> Page[FineTuningJob]:
        """Newest first; only jobs that have every given pair, or only those without any."""
        conditions = [jobs.c.project_id == self._scope.project_id]
        conditions += [_has_pair(name, value) for name, value in (metadata or {}).items()]
        if without_metadata:
            conditions.append(jobs.c.metadata.is_(None))
        return fetch_page(
            self._connection,
            jobs,
            and_(*conditions),
            after=after,
            limit=limit,
            to_domain=_to_domain,
        )

    def move(self, job_id: str, target: JobStatus, **changes: Any) -> FineTuningJob:
        """Move to `target` from whatever status allows it, writing `changes` along. The end of a
        job is told to the project's webhooks by the same transaction.

        Raises JobNotFound, and InvalidTransition when the job's status does not allow the move;
        of two racing moves out of one status exactly one succeeds.
        """
        if target in TERMINAL:
            changes["finished_at"] = database_now()
            changes["estimated_finish"] = None
        changed = self._connection.execute(
            update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.project_id == self._scope.project_id,
                jobs.c.status.in_(sources_of(target)),
            )
            .values(status=target, **changes)
        ).rowcount
        job = self.get(job_id)
        if not changed:
            raise InvalidTransition(f"a job that is {job.status} cannot become {target}")
        if target in _TOLD_BY_WEBHOOK:
            emit(self._connection, self._scope, _TOLD_BY_WEBHOOK[target], job_id)
        return job

    def update_progress(
        self, job_id: str, progress: JobProgress, *, seconds_left: float | None
    ) -> None:
        """Note how far the attempt is. The caller has checked its claim in this transaction."""
        finish = None if seconds_left is None else database_now() + seconds_left
        self._connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.project_id == self._scope.project_id)
            .values(progress=asdict(progress), estimated_finish=finish)
        )

    def note_artefacts(self, job_id: str, artefacts: Mapping[str, str]) -> None:
        """Remember object keys under their names. The caller has checked its claim in this
        transaction."""
        known = self.get(job_id).artefacts
        self._connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.project_id == self._scope.project_id)
            .values(artefacts={**known, **artefacts})
        )


def _has_pair(name: str, value: str) -> ColumnElement[bool]:
    return exists().where(
        job_metadata.c.job_id == jobs.c.id,
        job_metadata.c.name == name,
        job_metadata.c.value == value,
    )


def _to_domain(row: Row[Any]) -> FineTuningJob:
    return FineTuningJob(
        id=row.id,
        project_id=row.project_id,
        organization_id=row.organization_id,
        status=JobStatus(row.status),
        model=row.model,
        base=row.base,
        start=_START.validate_python(row.start_from),
        training_file=row.training_file,
        validation_file=row.validation_file,
        suffix=row.suffix,
        seed=row.seed,
        method=_METHOD.validate_python({**(row.options or {}), "type": row.method}),
        hyperparameters=Hyperparameters(**row.hyperparameters),
        resolved=None if row.resolved is None else ResolvedHyperparameters(**row.resolved),
        facts=_FACTS.validate_python(row.facts),
        tuning=_TUNING.validate_python({"type": "lora", **row.tuning}),
        exact=row.exact,
        reserved_model_name=row.reserved_model_name,
        metadata=row.metadata,
        integrations=tuple(
            WandbIntegration(**{**stored, "tags": tuple(stored["tags"])})
            for stored in row.integrations or ()
        ),
        result_files=tuple(row.result_files),
        artefacts=row.artefacts or {},
        trained_tokens=row.trained_tokens,
        error=None if row.error is None else JobError(**row.error),
        progress=None if row.progress is None else JobProgress(**row.progress),
        attempts=row.attempts,
        created_at=row.created_at,
        finished_at=row.finished_at,
        estimated_finish=row.estimated_finish,
    )
