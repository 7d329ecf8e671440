"""What the engine has stored becomes checkpoints and states, once their step's report is in."""

from collections import deque
from collections.abc import Mapping
from functools import partial

from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt
from jobs.runner.checkpoints import record_save
from jobs.runner.patience import patiently
from jobs.runner.recorder import Recorder
from jobs.runner.resuming import drop_states, kept_key, ledger_key
from jobs.runner.session import StoredSave
from service.core.domain.jobs import FineTuningJob
from service.core.engine_protocol import SessionOpened
from service.core.ledger import Ledger
from service.core.object_keys import state_prefix, step_of


class SaveRecorder:
    """The engine is a step ahead, so that a save may be whole before its step is told of; and the
    ledger that goes with a state knows the steps up to it and none after."""

    def __init__(
        self,
        attempt: Attempt,
        job: FineTuningJob,
        opened: SessionOpened,
        recorder: Recorder,
        ledger: Ledger,
    ) -> None:
        self._attempt = attempt
        self._job = job
        self._opened = opened
        self._recorder = recorder
        self._ledger = ledger
        self._unentered: deque[StepReport] = deque()
        self._waiting: list[StoredSave] = []
        self._kept: dict[int, bytes] = {}

    @property
    def ledger(self) -> Ledger:
        """Of every step that was reported."""
        self._enter_up_to(None)
        return self._ledger

    def take_in(self, report: StepReport) -> None:
        if report.rows:
            self._unentered.append(report)

    def keep(self, step: int, content: bytes) -> None:
        """To be stored with the state of that step, which is yet to be saved."""
        self._kept[step] = content

    def record(self, saves: list[StoredSave]) -> None:
        """Raises StaleEpoch."""
        waiting, self._waiting = [*self._waiting, *saves], []
        for save in sorted(waiting, key=lambda stored: step_of(stored.name)):
            metrics = self._recorder.metrics_of(step_of(save.name))
            if metrics is None:
                self._waiting.append(save)
            else:
                self._record(save, metrics)

    def _record(self, save: StoredSave, metrics: Mapping[str, float]) -> None:
        step = step_of(save.name)
        patiently(self._attempt.control, self._recorder.flush)
        record_save(
            self._attempt,
            self._job,
            save,
            step=step,
            base_digest=self._opened.base_digest,
            metrics=metrics,
            artefacts={"rows": self._store_beside(step)},
        )
        drop_states(self._attempt, self._job.id)

    def _store_beside(self, step: int) -> str:
        """In the state's folder; the key of the ledger."""
        self._enter_up_to(step)
        attempt = self._attempt
        place = (attempt.scope.project_id, self._job.id, attempt.claim.epoch, step)
        folder = state_prefix(*place)
        if (kept := self._kept.pop(step, None)) is not None:
            self._store(kept_key(folder), kept)
        self._store(ledger_key(folder), self._ledger.to_bytes())
        return ledger_key(folder)

    def _store(self, key: str, content: bytes) -> None:
        store = self._attempt.resources.store
        patiently(self._attempt.control, partial(store.put_bytes, key, content))

    def _enter_up_to(self, step: int | None) -> None:
        while self._unentered and (step is None or self._unentered[0].step <= step):
            report = self._unentered.popleft()
            shares = ((row.line, row.loss, row.weight) for row in report.rows)
            self._ledger.add(report.epoch_number, shares)
