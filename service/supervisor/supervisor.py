"""Run a stack of components: start it in stages, keep it, stop it in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path

from service.supervisor.component import Component
from service.supervisor.keeper import ComponentFailed, Keeper, RestartPolicy
from service.supervisor.logs import Report, rotate

KILLED = 130
"""Exit code after a second Ctrl-C."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stage:
    """Components that start side by side, once the stages before are ready."""

    def __init__(
        self, components: Sequence[Component], prepare: Callable[[], None] = lambda: None
    ) -> None:
        self.components = components
        self.prepare = prepare
        """Runs in a thread beside the start; the next stage waits for it too."""


class Supervisor:
    """Lives for one `run`."""

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        logs: Path,
        report: Report,
        stop_order: Sequence[str],
        drain_seconds: float = 30,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._stages = stages
        self._logs = logs
        self._report = report
        self._stop_order = stop_order
        self._drain_seconds = drain_seconds
        self._policy = policy or RestartPolicy()
        self._keepers: dict[str, Keeper] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._killed = False

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> int:
        """Until SIGTERM, SIGINT or SIGHUP; returns an exit code when every process has ended.

        Raises what ended it otherwise, after the same orderly stop: ComponentFailed, an error of
        a stage's preparation or of `when_ready`. A second signal kills everything at once.
        """
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._install_signal_handlers()
        self._spawn(self._start(when_ready))
        try:
            await self._end
            self._report("up", "stopping")
        except ComponentFailed:
            self._report("up", "stopping, because a component does not start")
            raise
        finally:
            await self._stop()
        return KILLED if self._killed else 0

    def _install_signal_handlers(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if not self._end.done():
            self._end.set_result(None)
            return
        self._killed = True
        self._report("up", "killing what is left")
        for keeper in self._keepers.values():
            keeper.kill()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        """The first failure ends the run."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._end.done():
            self._end.set_exception(error)

    async def _start(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        for stage in self._stages:
            preparing = asyncio.to_thread(stage.prepare)
            ready = [self._keep(component) for component in stage.components]
            await asyncio.gather(preparing, *(event.wait() for event in ready))
        await when_ready()

    def _keep(self, component: Component) -> asyncio.Event:
        log = self._logs / f"{component.name}.log"
        rotate(log)
        keeper = Keeper(component, log, self._report, self._policy)
        self._keepers[component.name] = keeper
        self._spawn(keeper.keep())
        return keeper.ready

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in self._stop_order:
            if name in self._keepers:
                keeper = self._keepers[name]
                await keeper.stop(self._drain_seconds * keeper.component.stop_share)
