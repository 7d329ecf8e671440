"""Tells the api every two seconds what this engine holds, and at the end that it is gone."""

import logging
import threading
from collections.abc import Callable

import httpx2

from service.core.engine_protocol import EngineState
from service.core.errors import ServiceError

logger = logging.getLogger(__name__)

_PERIOD_SECONDS = 2.0
_RETRY_SECONDS = 0.5
"""While the api is away: it hears of the engine soon after it is back."""
_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 3.0


class Beacon:
    """Posts `state()` to `PUT {api}/internal/engines/{id}` from a thread of its own.

    An api that is away or refuses is no error here and is logged once per change. A `state` that
    raises ends the posting and calls `on_engine_failure`: an engine that cannot say how it is
    must not be given work.
    """

    def __init__(
        self,
        *,
        engine_id: str,
        api_url: str,
        internal_token: str,
        state: Callable[[], EngineState],
        on_engine_failure: Callable[[ServiceError], None],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._path = f"/internal/engines/{engine_id}"
        self._api_url = api_url
        self._state = state
        self._on_engine_failure = on_engine_failure
        self._http = httpx2.Client(
            base_url=api_url,
            headers={"Authorization": f"Bearer {internal_token}"},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=transport,
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )
        self._last_outcome = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beacon", daemon=True)

    def start(self) -> None:
        """The first post goes out at once."""
        self._thread.start()

    def stop(self) -> None:
        """Return once no further post will be sent."""
        self._stopped.set()
        self._thread.join()

    def withdraw(self) -> None:
        """Take the engine off the registry; without an answer it goes stale by itself."""
        try:
            self._http.delete(self._path).raise_for_status()
        except httpx2.HTTPError as error:
            logger.info("the api at %s did not hear the farewell: %s", self._api_url, error)
        finally:
            self._http.close()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            try:
                state = self._state()
            except ServiceError as error:
                self._on_engine_failure(error)
                return
            pause = _PERIOD_SECONDS if self._post(state) else _RETRY_SECONDS

    def _post(self, state: EngineState) -> bool:
        try:
            answer = self._http.put(
                self._path,
                content=state.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        except httpx2.HTTPError as error:
            self._note(f"does not answer ({type(error).__name__})", is_trouble=True)
            return False
        if answer.is_success:
            self._note("knows this engine", is_trouble=False)
        else:
            self._note(f"refuses this engine with {answer.status_code}", is_trouble=True)
        return answer.is_success

    def _note(self, outcome: str, *, is_trouble: bool) -> None:
        if outcome != self._last_outcome:
            self._last_outcome = outcome
            level = logging.WARNING if is_trouble else logging.INFO
            logger.log(level, "the api at %s %s", self._api_url, outcome)
