"""Keep one component running: start, probe, restart with growing pauses, stop."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from service.core.errors import ServiceError
from service.supervisor.child import describe_exit, kill_group, start_child
from service.supervisor.component import Component
from service.supervisor.logs import Report, cut_when_large, last_lines

_PROBE_PAUSE_SECONDS = 0.1
_WATCH_SECONDS = 60


class ComponentFailed(ServiceError):
    """A component died before it was ready, too many times in a row."""

    code = "component_failed"


@dataclass(frozen=True)
class RestartPolicy:
    """Pauses between starts: doubling from the first to the longest."""

    first_seconds: float = 0.5
    longest_seconds: float = 30
    forgive_seconds: float = 60
    """After a run of this length the next pause is the first again."""
    failed_starts: int = 5
    """Deaths in a row before being ready that end everything."""

    def pause_seconds(self, deaths: int) -> float:
        """Before the next start, after so many deaths in a row."""
        return float(min(self.longest_seconds, self.first_seconds * 2 ** (deaths - 1)))


class Keeper:
    """Owns the process of one component. Everything runs in the event loop of the main thread."""

    def __init__(
        self, component: Component, log: Path, report: Report, policy: RestartPolicy
    ) -> None:
        self.component = component
        self.ready = asyncio.Event()
        """Set once the component has been ready for the first time."""
        self._log = log
        self._report = report
        self._policy = policy
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Run until cancelled. Raises ComponentFailed after too many failed starts in a row."""
        deaths = failed_starts = 0
        while True:
            started = time.monotonic()
            was_ready = await self._live_once()
            long_lived = time.monotonic() - started > self._policy.forgive_seconds
            deaths = 1 if was_ready and long_lived else deaths + 1
            failed_starts = 0 if was_ready else failed_starts + 1
            if failed_starts == self._policy.failed_starts:
                raise ComponentFailed(self._obituary(failed_starts))
            pause = self._policy.pause_seconds(deaths)
            self._say(f"starts again in {pause:g} s (log: {self._log})")
            await asyncio.sleep(pause)

    async def _live_once(self) -> bool:
        """One life of the process; whether it ever got ready."""
        try:
            process = self._process = await start_child(self.component, self._log)
        except OSError as error:
            self._say(f"cannot be started: {error}")
            return False
        was_ready = await self._wait_until_ready(process)
        if was_ready:
            await self._watch(process)
        code = await process.wait()
        kill_group(process)
        self._say(describe_exit(code) + ("" if was_ready else self._last_words()))
        return was_ready

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> bool:
        started, started_at = time.monotonic(), time.time()
        while process.returncode is None:
            if await asyncio.to_thread(self.component.is_ready, started_at):
                self._say(f"ready in {time.monotonic() - started:.1f} s")
                self.ready.set()
                return True
            if time.monotonic() - started > self.component.ready_seconds:
                self._say(f"is not ready after {self.component.ready_seconds:g} s: killed")
                kill_group(process)
                return False
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        return False

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Until it ends; its log must not fill the disk meanwhile."""
        while process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), _WATCH_SECONDS)
            except TimeoutError:
                cut_when_large(self._log)

    async def stop(self, within_seconds: float) -> None:
        """Ask it to end, and kill what is left afterwards. `keep` must have been cancelled."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        started = time.monotonic()
        process.send_signal(self.component.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), within_seconds)
            self._say(f"stopped in {time.monotonic() - started:.1f} s")
        except TimeoutError:
            self._say(f"did not stop within {within_seconds:.1f} s: killed")
        kill_group(process)
        await process.wait()

    def kill(self) -> None:
        """At once, without a chance to finish anything."""
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process)

    def _say(self, text: str) -> None:
        self._report(self.component.name, text)

    def _last_words(self) -> str:
        """Most programs end with the reason."""
        said = last_lines(self._log, 1)
        return " before it was ready" + (f": {said[0]}" if said else "")

    def _obituary(self, failed_starts: int) -> str:
        name = self.component.name
        return "\n".join(
            [
                f"The component {name} failed to start {failed_starts} times in a row. "
                f"The end of its log, {self._log}:",
                *(f"  {line}" for line in last_lines(self._log)),
            ]
        )
