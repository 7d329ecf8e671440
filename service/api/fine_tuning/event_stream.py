"""A job's events as they happen, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator

from anyio.to_thread import run_sync

from service.api.fine_tuning.schemas import EventObject
from service.api.fine_tuning.service import JobService
from service.core.domain.access import Principal

_LOOK_SECONDS = 0.5
_SILENCE_SECONDS = 15.0
"""Proxies cut connections that say nothing for a minute."""


async def stream_events(
    jobs: JobService, principal: Principal, job_id: str, *, after: int
) -> AsyncGenerator[str, None]:
    """Those behind number `after`, oldest first, until the job has ended and all are told; the
    last message is of the type `end`, with the status."""
    spoke = time.monotonic()
    while True:
        look = await run_sync(jobs.events_behind, principal, job_id, after)
        for event in look.events:
            after, spoke = event.number, time.monotonic()
            data = EventObject.from_domain(event).model_dump_json()
            yield f"id: {event.id}\nevent: fine_tuning.job.event\ndata: {data}\n\n"
        if not look.events and look.job.finished:
            yield f'event: end\ndata: {{"status": "{look.job.status.value}"}}\n\n'
            return
        if time.monotonic() - spoke > _SILENCE_SECONDS:
            spoke = time.monotonic()
            yield ": still here\n\n"
        if not look.events:
            await asyncio.sleep(_LOOK_SECONDS)
