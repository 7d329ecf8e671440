"""The whole way of an organisation: bases, jobs, data sets, and what has to stay.

It can be cut off at any moment and run again: `Target` makes everything once.
"""

from pathlib import Path

from tunery._exceptions import APIStatusError, ConfigurationError, NotFoundError
from tunery._sync import Tunery
from tunery.migration.capture import Equivalence
from tunery.migration.datasets import DatasetMissing, Datasets
from tunery.migration.job_mover import REFUSALS, JobMover, Workshop, words
from tunery.migration.options import MigrationOptions
from tunery.migration.report import Report, Row
from tunery.migration.source import Source
from tunery.migration.state import StateFile
from tunery.migration.target import Target


class Migration:
    """From `source` to the server of `client`; `folder` keeps data sets, answers and notes."""

    def __init__(
        self, source: Source, client: Tunery, folder: Path, options: MigrationOptions
    ) -> None:
        """Raises ConfigurationError for the folder of another migration."""
        self._source = source
        self._client = client
        self._folder = folder
        self._options = options
        notes = StateFile(
            folder, source=source.base_url, target=client.base_url, writes=not options.dry_run
        )
        self._target = Target(client, notes)
        self._report = Report()
        self.equivalences: list[Equivalence] = []
        """Of old and new models, once `run` has captured."""

    def run(self) -> Report:
        """Raises APIError where a repetition may help, ConfigurationError for options that do not
        fit the target."""
        self._name_bases()
        given = self._options.given_files
        datasets = Datasets(self._source, self._folder / "files", given)
        mover = self._moved_jobs(datasets)
        for file_id in datasets.listed:
            wanted = self._options.all_files or file_id in mover.needed_files
            self._report.add(self._file_row(datasets, file_id, wanted=wanted))
        self._tell_of_webhooks()
        return self._report

    def _name_bases(self) -> None:
        for foreign, base in self._options.bases.items():
            if not self._target.knows_model(base):
                raise ConfigurationError(
                    f"no model {base!r} here, which {foreign} was to be mapped to; "
                    "`tunery models list` shows those there are"
                )
            self._report.add(self._base_row(foreign, base))

    def _base_row(self, foreign: str, base: str) -> Row:
        if self._options.dry_run:
            return Row("base", foreign, "planned", base)
        try:
            self._target.name(foreign, base)
        except REFUSALS as refusal:
            return Row("base", foreign, "failed", base, refusal.message)
        return Row("base", foreign, "carried", base)

    def _moved_jobs(self, datasets: Datasets) -> JobMover:
        workshop = Workshop(
            self._source, self._client, self._target, datasets, self._folder, self._options
        )
        mover = JobMover(workshop, self._report.add)
        self.equivalences = mover.equivalences
        for job in self._source.jobs():
            if self._options.only_jobs is None or job.id in self._options.only_jobs:
                mover.begin(job)
        mover.end()
        return mover

    def _file_row(self, datasets: Datasets, file_id: str, *, wanted: bool) -> Row:
        """What became of a data set; one that is wanted though no job took it is taken now."""
        name, size = datasets.path(file_id).name, datasets.size(file_id)
        here = self._target.find_file(file_id, name, size)
        if here is not None:
            return Row("file", file_id, "carried", here)
        if not wanted:
            return Row("file", file_id, "left", note="no job here needs it; --all-files")
        if self._options.dry_run:
            return Row("file", file_id, "planned")
        try:
            here = self._target.ensure_file(file_id, datasets.fetch(file_id))
        except DatasetMissing as missing:
            return Row("file", file_id, "left", note=str(missing))
        except REFUSALS as refusal:
            return Row("file", file_id, "failed", note=words(refusal))
        return Row("file", file_id, "carried", here)

    def _tell_of_webhooks(self) -> None:
        try:
            endpoints = self._source.webhooks()
        except NotFoundError:
            return  # the source has none such
        except APIStatusError as refusal:
            note = f"not readable: {refusal.message}"
            self._report.add(Row("webhook", "all", "left", note=note))
            return
        for endpoint in endpoints:
            note = "its secret cannot be read; make it here, and give the receiver the new one"
            self._report.add(Row("webhook", endpoint.url, "left", note=note))
