"""What `tunery-server doctor` looks at. Each check returns a Finding; none raises."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.core.database import Database, require_newest_schema
from service.core.errors import ServiceError
from service.core.graders.python_code import limits_of
from service.core.sandbox.running import Sandbox
from service.core.sandbox.self_test import Probed, probe
from service.core.settings import Settings
from service.supervisor.files import is_held, prepare_folder
from service.supervisor.packaged import EMBEDDED_PROGRAMS, packaged_program
from service.supervisor.ports import is_free
from service.supervisor.probes import redis_answers, s3_takes_writes

_DATABASE_AND_QUEUE = ("alembic", "psycopg", "redis", "rq", "sqlalchemy")

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "api": (
        *_DATABASE_AND_QUEUE,
        *("cryptography", "fastapi", "limits", "nltk", "python_multipart", "rapidfuzz", "uvicorn"),
    ),
    "worker": (*_DATABASE_AND_QUEUE, "cryptography", "nltk", "pyarrow", "rapidfuzz"),
    "engine": (
        *("accelerate", "fastapi", "gguf", "llguidance", "numpy", "peft"),
        *("safetensors", "torch", "transformers", "uvicorn"),
    ),
}
"""By extra of the distribution, the import names of what it installs."""

_FAST_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
_MEMORY_BYTES = 3 * 1024**3
_DISK_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, and how to mend it; no mend means that all is well."""

    subject: str
    seen: str
    mend: str | None = None
    is_needed: bool = True
    """Whether `up` does not work without it."""


Check = Callable[[Settings], Finding]


def python(_: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    mend = None if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    return Finding("python", f"{version}, {sys.platform}", mend)


def packages(extra: str) -> Check:
    """Whether one of `PACKAGES` is complete; nothing is imported."""

    def check(_: Settings) -> Finding:
        missing = [name for name in PACKAGES[extra] if find_spec(name) is None]
        if not missing:
            return Finding(f"extra {extra}", "installed")
        mend = f"pip install 'tunery-server[{extra}]'"
        return Finding(f"extra {extra}", f"missing {', '.join(missing)}", mend)

    return check


def embedded(_: Settings) -> Finding:
    """The server programs that come in wheels."""
    try:
        for package, program in EMBEDDED_PROGRAMS.items():
            packaged_program(package, program, instead="configure servers of your own")
    except ServiceError as error:
        return Finding("extra embedded", "incomplete", error.message)
    return Finding("extra embedded", "installed")


def cpu(_: Settings) -> Finding:
    """Never a fault: without the flags everything is slower, not wrong."""
    found = [flag for flag in _FAST_FLAGS if flag in _cpu_flags()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("cpu", f"{cores} cores, {', '.join(found) or 'no AVX2, AVX-512 or AMX'}")


def _cpu_flags() -> set[str]:
    return set(_proc_values("cpuinfo").get("flags", "").split())


def memory(_: Settings) -> Finding:
    value = _proc_values("meminfo").get("MemAvailable")
    if value is None:
        return Finding("memory", "unknown on this system")
    available = int(value.split()[0]) * 1024
    mend = None if available >= _MEMORY_BYTES else f"free {_gib(_MEMORY_BYTES)} for a small base"
    return Finding("memory", f"{_gib(available)} available", mend)


def _proc_values(name: str) -> dict[str, str]:
    """The `key: value` lines of a file of /proc; empty where there is none."""
    try:
        lines = Path("/proc", name).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    try:
        prepare_folder(folder)
    except ServiceError as error:
        return Finding("data dir", f"{folder} is not writable", error.message)
    free = shutil.disk_usage(folder).free
    mend = None if free >= _DISK_BYTES else f"free {_gib(_DISK_BYTES)} or choose another"
    return Finding("data dir", f"{folder}, {_gib(free)} free", mend)


def port(settings: Settings) -> Finding:
    host, number = settings.api_host, settings.api_port
    subject = f"port {number}"
    if is_held(settings.data_dir):
        return Finding(subject, "`up` runs on this data dir")
    try:
        free = is_free(number, host)
    except OSError:
        return Finding(subject, f"{host} is not ours", "set TUNERY_API_HOST to an own address")
    mend = None if free else "stop what listens there, or set TUNERY_API_PORT"
    return Finding(subject, f"{'free' if free else 'taken'} on {host}", mend)


def database(settings: Settings) -> Finding:
    connection = Database(settings.database_url)
    try:
        require_newest_schema(connection)
    except ServiceError as error:
        return Finding("database", "not usable", f"{error.message} (TUNERY_DATABASE_URL)")
    finally:
        connection.dispose()
    return Finding("database", "answers, schema is the newest")


def redis(settings: Settings) -> Finding:
    if redis_answers(settings.redis_url)(0):
        return Finding("redis", "answers")
    return Finding("redis", "does not answer", "see address and password in TUNERY_REDIS_URL")


def object_store(settings: Settings) -> Finding:
    if s3_takes_writes(settings)(0):
        return Finding("s3", f"takes writes into {settings.s3_bucket}")
    return Finding("s3", "takes no writes", "see address, keys and bucket in TUNERY_S3_*")


def sandbox(settings: Settings) -> list[Finding]:
    """Of Python graders: each probe of the self-test. Without it only they are refused."""

    async def find() -> list[Probed]:
        return [probed async for probed in probe(Sandbox(limits_of(settings)))]

    return [
        Finding("python graders", found.name)
        if found.fault is None
        else Finding(
            "python graders",
            f"not so: {found.name} ({found.fault})",
            "they are refused until this holds; see docs/security.md",
            is_needed=False,
        )
        for found in asyncio.run(find())
    ]


def checks_for(settings: Settings) -> list[Check]:
    """Everything that `up` needs under these settings."""
    chosen: list[Check] = [python, packages("api")]
    if not settings.is_given("engine_url"):
        chosen.append(packages("engine"))
    if not (settings.is_given("redis_url") and settings.is_given("s3_")):
        chosen.append(embedded)
    chosen += [cpu, memory, data_dir, port]
    given = {"database_url": database, "redis_url": redis, "s3_": object_store}
    return chosen + [check for prefix, check in given.items() if settings.is_given(prefix)]


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
