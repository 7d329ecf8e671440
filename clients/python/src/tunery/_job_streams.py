"""A job's events as they happen; a broken connection is taken up again behind the last event."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Protocol, TypeVar

import httpx2
from pydantic import ValidationError

from tunery._calls import jobs as calls
from tunery._exceptions import APIConnectionError, APIResponseError
from tunery._flow import Call
from tunery._types import JobEvent

T = TypeVar("T")

_MOST_CUTS = 10
"""Connections in a row that broke without an event."""
_PAUSE_SECONDS = 1.0


class _Performer(Protocol):
    def perform(self, call: Call[T], /) -> T: ...


class _AsyncPerformer(Protocol):
    async def perform(self, call: Call[T], /) -> T: ...


class _Reading:
    """Where a stream stands."""

    def __init__(self, job_id: str, after: str | None) -> None:
        self._job_id = job_id
        self._last = after
        self._cuts = 0
        self.status: str | None = None

    def call(self) -> Call[httpx2.Response]:
        return calls.stream_events(self._job_id, after=self._last)

    def take(self, event: httpx2.ServerSentEvent, response: httpx2.Response) -> JobEvent | None:
        """None for the last message, which tells the status. Raises APIResponseError."""
        try:
            if event.event == "end":
                self.status = str(json.loads(event.data)["status"])
                return None
            found = JobEvent.model_validate_json(event.data)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            request_id = response.headers.get("x-request-id")
            message = "the stream holds what is no event of a job"
            raise APIResponseError(message, request_id=request_id) from error
        self._last, self._cuts = found.id, 0
        return found

    def cut(self) -> None:
        """Raises APIConnectionError once that has been too often."""
        self._cuts += 1
        if self._cuts >= _MOST_CUTS:
            raise APIConnectionError(f"the events of {self._job_id} break off again and again")


class JobEventStream:
    """Events, oldest first, until the job has ended; then `status` says how."""

    def __init__(self, driver: _Performer, job_id: str, *, after: str | None = None) -> None:
        self._driver = driver
        self._reading = _Reading(job_id, after)

    @property
    def status(self) -> str | None:
        """Of the job; None before the last event."""
        return self._reading.status

    def __iter__(self) -> Iterator[JobEvent]:
        while True:
            response = self._driver.perform(self._reading.call())
            try:
                for event in httpx2.EventSource(response):
                    found = self._reading.take(event, response)
                    if found is None:
                        return
                    yield found
            except httpx2.SSEError as error:
                raise APIResponseError(f"not a stream of events: {error}") from error
            except httpx2.RequestError:
                pass  # taken up again behind the last event
            finally:
                response.close()
            self._reading.cut()
            time.sleep(_PAUSE_SECONDS)


class AsyncJobEventStream:
    """Events, oldest first, until the job has ended; then `status` says how."""

    def __init__(self, driver: _AsyncPerformer, job_id: str, *, after: str | None = None) -> None:
        self._driver = driver
        self._reading = _Reading(job_id, after)

    @property
    def status(self) -> str | None:
        """Of the job; None before the last event."""
        return self._reading.status

    async def __aiter__(self) -> AsyncIterator[JobEvent]:
        while True:
            response = await self._driver.perform(self._reading.call())
            try:
                async for event in httpx2.EventSource(response):
                    found = self._reading.take(event, response)
                    if found is None:
                        return
                    yield found
            except httpx2.SSEError as error:
                raise APIResponseError(f"not a stream of events: {error}") from error
            except httpx2.RequestError:
                pass  # taken up again behind the last event
            finally:
                await response.aclose()
            self._reading.cut()
            await asyncio.sleep(_PAUSE_SECONDS)
