"""What a job leaves on record: metrics, the ledger of rows, the receipt."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from service.api.fine_tuning.record_schemas import MetricsObject, Point, RowList, RowObject
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.jobs import FineTuningJob
from service.core.errors import RecordNotFound
from service.core.ledger import Ledger, LedgerLine, hardest, never_learnt, suspicious
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.storage import ObjectNotFound, ObjectStore

RowKind = Literal["all", "hardest", "never_learnt", "suspicious"]
_CHOICES: Mapping[RowKind, Callable[[Sequence[LedgerLine]], Sequence[LedgerLine]]] = {
    "all": lambda lines: lines,
    "hardest": hardest,
    "never_learnt": never_learnt,
    "suspicious": suspicious,
}
_NO_CURVES = frozenset({"step", "total_steps", "epoch", "tokens", "details"})


class JobRecords:
    """Of the caller's jobs."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    def metrics(self, principal: Principal, job_id: str, *, points: int) -> MetricsObject:
        """Each curve in at most `points` points. Raises JobNotFound."""
        with self._database.snapshot() as connection:
            JobRepository(connection, principal.scope).get(job_id)
            told = EventRepository(connection, principal.scope).metrics(job_id)
        series: dict[str, list[Point]] = {}
        for data in told:
            for name, value in data.items():
                if name not in _NO_CURVES:
                    series.setdefault(name, []).append(Point(step=data["step"], value=value))
        return MetricsObject(
            job_id=job_id,
            total_steps=told[-1]["total_steps"] if told else None,
            series={name: thinned(curve, points) for name, curve in series.items()},
        )

    def rows(
        self, principal: Principal, job_id: str, *, kind: RowKind, offset: int, limit: int
    ) -> RowList:
        """Raises JobNotFound, and RecordNotFound before the first state of the job is stored."""
        job = self._job(principal, job_id)
        ledger = Ledger.from_bytes(self._read(job, "rows", "The losses of rows are"))
        chosen = _CHOICES[kind](ledger.lines())
        page = chosen[offset : offset + limit]
        return RowList(
            data=[RowObject.from_domain(line) for line in page],
            total=len(chosen),
            has_more=len(chosen) > offset + limit,
        )

    def receipt(self, principal: Principal, job_id: str) -> dict[str, Any]:
        """Raises JobNotFound, and RecordNotFound unless the job has succeeded."""
        job = self._job(principal, job_id)
        receipt: dict[str, Any] = json.loads(self._read(job, "receipt", "The receipt is"))
        return receipt

    def _job(self, principal: Principal, job_id: str) -> FineTuningJob:
        with self._database.snapshot() as connection:
            return JobRepository(connection, principal.scope).get(job_id)

    def _read(self, job: FineTuningJob, name: str, what: str) -> bytes:
        missing = RecordNotFound(
            f"{what} not stored for job {job.id}, whose status is {job.status.value!r}; rows are "
            "stored with each training state, the receipt when the job succeeds, and both go with "
            "its model.",
            param="fine_tuning_job_id",
        )
        if name not in job.artefacts:
            raise missing
        try:
            return self._store.get_bytes(job.artefacts[name])
        except ObjectNotFound:
            raise missing from None


def thinned(curve: Sequence[Point], points: int) -> list[Point]:
    """Neighbours joined to their mean, so that at most `points` are left."""
    if len(curve) <= points:
        return list(curve)
    edges = [len(curve) * part // points for part in range(points + 1)]
    parts = [curve[start:end] for start, end in pairwise(edges)]
    return [
        Point(step=part[-1].step, value=sum(point.value for point in part) / len(part))
        for part in parts
    ]
