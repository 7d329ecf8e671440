"""The receipt of a finished training: all that is needed to do it again, and to say whether the
same bytes can be expected."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jobs.methods.reporting import StepReport
from service.core.domain.jobs import Checkpoint, FineTuningJob
from service.core.engine_protocol import SessionOpened

_PACKAGES = ("jobs", "service")
_LIBRARIES = ("tunery-server", "tokenizers", "jinja2", "pydantic")
"""Of the worker, which decide what the tokens are; the engine tells its own."""


def receipt_of(
    job: FineTuningJob,
    opened: SessionOpened,
    reports: Sequence[StepReport],
    chosen: Checkpoint,
) -> bytes:
    """As JSON. `attempts` above 1 means that states were stored and restored in between."""
    mixed = sum(1 for report in reports if report.details.get("mixed"))
    receipt = config_of(job) | {
        "base_digest": opened.base_digest,
        "attempts": job.attempts + 1,
        "steps": reports[-1].step if reports else 0,
        "mixed_steps": mixed,
        "unmixed": mixed == 0,
        "checkpoint": {"step": chosen.step, "digest": chosen.delta.digest},
        "worker": {"python": platform.python_version()} | _versions() | code_version(),
        "engine": dict(opened.environment),
    }
    return json.dumps(receipt, indent=2, default=str).encode()


@cache
def code_version() -> dict[str, str]:
    """A digest of the source that the worker runs: of names and contents of all its modules, which
    a version that was built twice, or changed in place, does not tell apart."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        root = Path(str(import_module(package).__file__)).parent
        for path in sorted(root.rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{package}/{path.relative_to(root).as_posix()} {content}\n".encode())
    return {"code": f"sha256:{digest.hexdigest()}"}


def config_of(job: FineTuningJob) -> dict[str, Any]:
    """What the job's row says of its training."""
    return {
        "job": job.id,
        "model": job.reserved_model_name,
        "base": job.base,
        "start_from": None if job.start is None else asdict(job.start),
        "data": dict(job.facts.digests) if job.facts else {},
        "method": asdict(job.method),
        "tuning": asdict(job.tuning),
        "hyperparameters": None if job.resolved is None else asdict(job.resolved),
        "seed": job.seed,
        "exact": job.exact,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
