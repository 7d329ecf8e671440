"""One job after another: made again here, waited for, judged, and given its old name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunery._exceptions import (
    APIStatusError,
    BadRequestError,
    NotFoundError,
    PayloadTooLargeError,
)
from tunery._sync import Tunery
from tunery._types import FineTuningJob
from tunery.migration.capture import Distillation, Equivalence
from tunery.migration.datasets import Datasets
from tunery.migration.options import MigrationOptions
from tunery.migration.report import Row
from tunery.migration.requests import Origin, recreation, why_not, without_integrations
from tunery.migration.source import Source, SourceJob
from tunery.migration.target import Target
from tunery.migration.training_sets import (
    DatasetMissing,
    LocalSet,
    NothingCaptured,
    TrainingSets,
    captured_sets,
    distillation_of,
    original_sets,
)

REFUSALS = (BadRequestError, NotFoundError, PayloadTooLargeError)
"""What a repetition would not mend; everything else ends the run, which can be repeated."""


class _Left(Exception):
    """A job that is not carried over; the message says why."""


@dataclass
class _Begun:
    """A job that is there on both sides, or would be."""

    job: SourceJob
    here: FineTuningJob | None
    notes: tuple[str, ...]
    distillation: Distillation | None


@dataclass(frozen=True)
class Workshop:
    """What a job is moved with."""

    source: Source
    client: Tunery
    target: Target
    datasets: Datasets
    folder: Path
    options: MigrationOptions


class JobMover:
    """`begin` jobs, the oldest first, then `end` them all: they train side by side."""

    def __init__(self, shop: Workshop, tell: Callable[[Row], object]) -> None:
        self._shop = shop
        self._options = shop.options
        self._target = shop.target
        self._tell = tell
        self._begun: dict[str, _Begun] = {}
        """By the tuned name at the source, oldest first."""
        self.equivalences: list[Equivalence] = []
        self.needed_files: set[str] = set()
        """Data sets that a job here learns from, or would."""

    def begin(self, job: SourceJob) -> None:
        """Make the job here if it is not there yet; what cannot be made is told."""
        try:
            begun = self._carry(job)
        except (_Left, DatasetMissing, NothingCaptured) as left:
            self._tell(Row("job", job.id, "left", note=str(left)))
        except ValueError as unreadable:
            self._tell(Row("job", job.id, "failed", note=str(unreadable)))
        except REFUSALS as refusal:
            self._tell(Row("job", job.id, "failed", note=words(refusal)))
        else:
            self._begun[job.fine_tuned_model or ""] = begun

    def end(self) -> None:
        """Wait for all of them if that is wanted, and tell what became of each."""
        for name in tuple(self._begun):
            self._end(name)

    def _carry(self, job: SourceJob) -> _Begun:
        """Raises _Left, DatasetMissing, NothingCaptured, ValueError, APIError."""
        if reason := why_not(job):
            raise _Left(reason)
        base = self._base_of(job)
        origin = Origin("captured_from" if self._options.capture else "migrated_from", job.id)
        here = self._target.find_job(origin, retry_failed=self._options.retry_failed)
        if self._options.dry_run:
            if here is None:
                self._check_data(job)
            self._note_files(job)
            return _Begun(job, here, (), None)
        distillation = self._distillation(job)
        if here is not None:
            self._target.note_job(origin, here.id)
            return _Begun(job, here, (), distillation)
        self._options.on_progress(f"{job.id}: fetching its data")
        sets = self._sets(job, distillation)
        again = recreation(
            job,
            origin=origin,
            model=base,
            training_file=self._upload(sets.training),
            validation_file=self._upload(sets.validation) if sets.validation else None,
            with_hyperparameters=self._options.keep_hyperparameters,
        )
        try:
            here = self._target.create_job(origin, again.request)
        except BadRequestError as refusal:
            if "integration" not in f"{refusal.code} {refusal.param}":
                raise
            again = without_integrations(again, refusal.message)
            here = self._target.create_job(origin, again.request)
        self._options.on_progress(f"{job.id}: is {here.id} here")
        return _Begun(job, here, (*again.notes, *sets.notes), distillation)

    def _base_of(self, job: SourceJob) -> str:
        """What the job starts from, as it is called here. Raises _Left."""
        if job.model in self._begun:
            if self._options.dry_run:
                return job.model
            self._end(job.model)
        base = self._options.bases.get(job.model, job.model)
        if self._target.knows_model(base):
            return base
        if job.model.startswith("ft:"):
            raise _Left(f"starts from {job.model}, which has no model here (yet)")
        raise _Left(f"no base here is mapped to {job.model}; --map {job.model}=BASE")

    # What it learns from

    def _check_data(self, job: SourceJob) -> None:
        if self._options.capture is None or self._options.capture.prompts is None:
            self._shop.datasets.check(job.training_file)

    def _note_files(self, job: SourceJob) -> None:
        if self._options.capture is None:
            self.needed_files |= {job.training_file, job.validation_file or job.training_file}

    def _distillation(self, job: SourceJob) -> Distillation | None:
        if self._options.capture is None:
            return None
        return distillation_of(
            job,
            self._shop.datasets,
            self._shop.folder / "captured",
            self._options.capture,
            self._options.on_progress,
        )

    def _sets(self, job: SourceJob, distillation: Distillation | None) -> TrainingSets:
        if distillation is None:
            return original_sets(job, self._shop.datasets)
        return captured_sets(job, self._shop.source, distillation)

    def _upload(self, file: LocalSet) -> str:
        return self._target.ensure_file(file.source_id, file.path)

    # Its end

    def _end(self, name: str) -> None:
        begun = self._begun.pop(name)
        job, here = begun.job, begun.here
        if self._options.dry_run:
            note = "is there already" if here else ""
            self._tell(Row("job", job.id, "planned", here.id if here else "", note))
            return
        assert here is not None  # only a dry run begins without
        if self._options.wait and not here.is_finished:
            self._options.on_progress(f"{job.id}: waiting for {here.id}")
            jobs = self._shop.client.fine_tuning.jobs
            here = jobs.wait(here, poll_seconds=self._options.poll_seconds)
        if not here.is_finished:
            note = f"is {here.status} here; run this again to give its model the old name"
            self._tell(Row("job", job.id, "waiting", here.id, "; ".join([note, *begun.notes])))
        elif here.fine_tuned_model is None:
            reason = here.error.message if here.error else here.status
            self._tell(Row("job", job.id, "failed", here.id, f"{reason} (--retry-failed)"))
        else:
            self._name(begun, here.fine_tuned_model)
            self._tell_of_checkpoints(job)

    def _name(self, begun: _Begun, model: str) -> None:
        job = begun.job
        notes = [*begun.notes, *self._judge(begun, model)]
        try:
            self._target.name(job.fine_tuned_model or "", model)
        except REFUSALS as refusal:
            self._tell(Row("job", job.id, "failed", model, words(refusal)))
        else:
            self._tell(Row("job", job.id, "carried", model, "; ".join(notes)))

    def _judge(self, begun: _Begun, model: str) -> list[str]:
        """Compare the new model with the old one; returns why that cannot be done, if so."""
        if begun.distillation is None:
            return []
        try:
            begun.distillation.capture(self._shop.source.ask, prefix=begun.job.id)
            self.equivalences.append(begun.distillation.judge(self._shop.client, model))
        except NothingCaptured as nothing:
            return [f"not compared: {nothing}"]
        return []

    def _tell_of_checkpoints(self, job: SourceJob) -> None:
        found = self._shop.source.checkpoints(job.id)
        names = {each.fine_tuned_model_checkpoint for each in found} - {job.fine_tuned_model}
        if names:
            note = f"{len(names)} of other steps than those here; `tunery models alias` names one"
            self._tell(Row("checkpoints", job.id, "left", note=note))


def words(refusal: APIStatusError) -> str:
    """What a server says, with the field at fault."""
    where = f" (param {refusal.param})" if refusal.param else ""
    return f"{refusal.message}{where}"
