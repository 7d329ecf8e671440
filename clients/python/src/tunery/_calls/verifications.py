"""Verifications of jobs."""

from collections.abc import Mapping
from typing import Any

from tunery._calls.parts import cursor, reading, segment
from tunery._flow import Call
from tunery._types import Page, Verification


def create(job_id: str, *, steps: int, receipt: Mapping[str, Any] | None) -> Call[Verification]:
    body: dict[str, object] = {"steps": steps}
    if receipt is not None:
        body["receipt"] = dict(receipt)
    return Call("POST", _path(job_id), reading(Verification), body=body)


def list_page(
    job_id: str, *, limit: int | None = None, after: str | None = None
) -> Call[Page[Verification]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", _path(job_id), reading(Page[Verification]), query=query)


def retrieve(job_id: str, verification_id: str) -> Call[Verification]:
    return Call("GET", f"{_path(job_id)}/{segment(verification_id)}", reading(Verification))


def cancel(job_id: str, verification_id: str) -> Call[Verification]:
    path = f"{_path(job_id)}/{segment(verification_id)}/cancel"
    return Call("POST", path, reading(Verification))


def _path(job_id: str) -> str:
    return f"fine_tuning/jobs/{segment(job_id)}/verifications"
