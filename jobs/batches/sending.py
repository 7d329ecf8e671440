"""Requests of a batch on their way to the api, some at a time.

They go through the public API under the internal token, so that a batch is answered exactly as its
requests would be one by one, errors included. A busy or absent api or engine only delays them.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from jobs.batches.lines import BatchLine
from service.core.ids import new_batch_request_id
from service.core.internal_calls import PROJECT_HEADER
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_DELAYED = (429, 502, 503, 504)
_STREAM_REFUSED = {
    "error": {
        "message": "A request of a batch cannot be streamed; leave 'stream' out.",
        "type": "invalid_request_error",
        "param": "stream",
        "code": "unsupported_parameter",
    }
}


@dataclass(frozen=True)
class Answered:
    """A line of the output file, or of the error file."""

    is_success: bool
    line: dict[str, Any]


def answered(line: BatchLine, status: int, request_id: str, body: Any) -> Answered:
    response = {"status_code": status, "request_id": request_id, "body": body}
    return Answered(status < 400, _line(line, response=response, error=None))


def unanswered(line: BatchLine, code: str, message: str) -> Answered:
    """No response came."""
    return Answered(False, _line(line, response=None, error={"code": code, "message": message}))


def _line(line: BatchLine, *, response: Any, error: Any) -> dict[str, Any]:
    return {
        "id": new_batch_request_id(),
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }


@dataclass(frozen=True)
class Sender:
    """Sends the requests of one batch."""

    settings: Settings
    project_id: str
    endpoint: str

    def send(self, lines: Sequence[BatchLine], go_on: Callable[[], bool]) -> list[Answered]:
        """Answers in the order of the lines; all, or those that were there when `go_on`, asked
        twice a second, said no. What `go_on` raises ends the requests too."""
        return asyncio.run(self._send_all(lines, go_on))

    async def _send_all(
        self, lines: Sequence[BatchLine], go_on: Callable[[], bool]
    ) -> list[Answered]:
        token = self.settings.internal_token.get_secret_value()
        slots = asyncio.Semaphore(self.settings.batch_concurrency)
        async with httpx2.AsyncClient(
            base_url=self.settings.api_url,
            headers={"Authorization": f"Bearer {token}", PROJECT_HEADER: self.project_id},
            timeout=httpx2.Timeout(None, connect=5.0),
            limits=httpx2.Limits(max_connections=self.settings.batch_concurrency),
            trust_env=False,  # a proxy of the environment must not see internal traffic
        ) as http:
            sending = [asyncio.create_task(self._send(http, slots, line)) for line in lines]
            try:
                pending = set(sending)
                while pending and go_on():
                    _, pending = await asyncio.wait(pending, timeout=_LOOK_SECONDS)
            finally:
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
        return [task.result() for task in sending if not task.cancelled()]

    async def _send(
        self, http: httpx2.AsyncClient, slots: asyncio.Semaphore, line: BatchLine
    ) -> Answered:
        if line.body.get("stream"):
            return answered(line, 400, "", _STREAM_REFUSED)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            async with slots:
                response = await self._post(http, line)
            if response is not None and not _is_delayed(response):
                request_id = response.headers.get("x-request-id", "")
                return answered(line, response.status_code, request_id, response.json())
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _post(self, http: httpx2.AsyncClient, line: BatchLine) -> httpx2.Response | None:
        try:
            return await http.post(
                self.endpoint,
                content=json.dumps(line.body),
                headers={"Content-Type": "application/json"},
            )
        except httpx2.TransportError as error:
            logger.warning("the api at %s does not answer: %r", self.settings.api_url, error)
            return None


def _is_delayed(response: httpx2.Response) -> bool:
    return response.status_code in _DELAYED and response.headers.get("x-should-retry") != "false"
