"""The heartbeat of a claim: a thread that prolongs the lease, and learns when it is lost or when
its holder is asked to pause."""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from jobs.runner.control import AttemptControl
from service.core.database import Database
from service.core.domain.work import Claim
from service.core.errors import DatabaseUnavailable, StaleEpoch
from service.core.repositories.work import WorkRepository

logger = logging.getLogger(__name__)


class Heartbeat:
    """Beats while its block runs; fences the attempt once the claim is lost.

    A database that does not answer is tolerated until the lease is over: from then on somebody
    else may hold the work.
    """

    def __init__(
        self,
        database: Database,
        claim: Claim,
        control: AttemptControl,
        *,
        every_seconds: float,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._claim = claim
        self._control = control
        self._every_seconds = every_seconds
        self._lease_seconds = lease_seconds
        self._stop = threading.Event()
        self._lease_end = time.monotonic() + lease_seconds
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every_seconds) and self._beat():
                pass
        except Exception:
            logger.exception("the heartbeat of %s broke", self._claim.subject_id)
            self._control.fence()

    def _beat(self) -> bool:
        """Whether the claim still holds, as far as we know."""
        begun = time.monotonic()
        try:
            with self._database.transaction() as connection:
                work = WorkRepository(connection)
                request = work.beat(self._claim, lease_seconds=self._lease_seconds)
        except StaleEpoch:
            self._control.fence()
            return False
        except DatabaseUnavailable:
            logger.warning("no heartbeat for %s: no database", self._claim.subject_id)
            if time.monotonic() < self._lease_end:
                return True
            self._control.fence()
            return False
        self._control.ask(request)
        self._lease_end = begun + self._lease_seconds
        return True
