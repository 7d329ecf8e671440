"""Functions of users, called in the sandbox once it has proved itself on this machine."""

import json
import logging
import time

from service.core.errors import GraderUnavailable, InvalidRequest
from service.core.graders.outcome import Flags, GradingFailed
from service.core.graders.specs import Python
from service.core.graders.templates import Observation
from service.core.sandbox.running import CallFailed, Limits, Sandbox, SandboxBroken
from service.core.sandbox.self_test import probe
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_FAULT_SECONDS = 60.0
"""A failed self-test is repeated after this long: it may have been the fault of a busy machine."""


class PythonCode:
    """Belongs to one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._sandbox = Sandbox(limits)
        self._is_trusted = False
        self._fault: str | None = None
        self._tested_at = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> "PythonCode":
        return cls(limits_of(settings))

    async def require(self, *, param: str) -> None:
        """The self-test, with the first call. Raises GraderUnavailable."""
        if self._is_trusted:
            return
        if self._fault is None or time.monotonic() - self._tested_at > _FAULT_SECONDS:
            await self._test()
        if self._fault is not None:
            raise GraderUnavailable(
                "Graders of the type 'python' run code of the caller, and this server's machine "
                f"does not pass the self-test of the sandbox for it ({self._fault}). Its operator "
                "sees what is missing with `tunery-server doctor`; use the other types meanwhile.",
                param=param,
            )

    async def _test(self) -> None:
        faults = [f"{p.name}: {p.fault}" async for p in probe(self._sandbox) if p.fault]
        self._fault, self._tested_at = next(iter(faults), None), time.monotonic()
        self._is_trusted = not faults
        if faults:
            logger.warning("python graders are refused: %s", "; ".join(faults))

    async def load(self, grader: Python, *, param: str) -> None:
        """Raises InvalidRequest for a source that defines no `grade`."""
        try:
            await self._sandbox.load(grader.source)
        except CallFailed as failure:
            raise InvalidRequest(
                f"The source cannot be used. {failure}", param=f"{param}.source"
            ) from None

    async def grade(self, grader: Python, observation: Observation) -> float:
        """Raises GradingFailed."""
        sample = {"output_text": observation.sample, "output_json": _json_of(observation.sample)}
        try:
            return await self._sandbox.call(grader.source, sample=sample, item=observation.item)
        except CallFailed as failure:
            flags = Flags(
                python_grader_runtime_error=True, python_grader_runtime_error_details=str(failure)
            )
        except (SandboxBroken, OSError) as broken:
            logger.exception("the sandbox broke")
            flags = Flags(
                python_grader_server_error=True,
                python_grader_server_error_type=type(broken).__name__,
            )
        raise GradingFailed(flags, is_lost=flags.python_grader_server_error)


def limits_of(settings: Settings) -> Limits:
    return Limits(
        seconds=settings.grader_seconds,
        memory_bytes=settings.grader_memory_bytes,
        packages=settings.grader_packages,
    )


def _json_of(sample: str) -> object:
    try:
        return json.loads(sample)
    except (ValueError, RecursionError):
        return None
