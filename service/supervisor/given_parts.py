"""The operator's own servers, which must answer before anything that uses them is started."""

import time

from service.core.database import wait_for_database
from service.core.errors import ConfigurationError, DatabaseUnavailable
from service.core.settings import Settings
from service.supervisor.component import Probe
from service.supervisor.probes import http_ok, redis_answers, s3_takes_writes

_PAUSE_SECONDS = 0.5


def check_given_parts(given: Settings, *, within_seconds: float) -> None:
    """Wait for each server whose address was given; blocks.

    Raises ConfigurationError naming the one that does not answer.
    """
    deadline = time.monotonic() + within_seconds
    if given.is_given("database_url"):
        _wait_for_database(given.database_url, within_seconds)
    for name, probe in _probes(given).items():
        while not probe(0):
            if time.monotonic() > deadline:
                raise ConfigurationError(_silence(name, within_seconds))
            time.sleep(_PAUSE_SECONDS)


def _wait_for_database(url: str, within_seconds: float) -> None:
    try:
        wait_for_database(url, within_seconds)
    except DatabaseUnavailable:
        name = "The database of TUNERY_DATABASE_URL"
        raise ConfigurationError(_silence(name, within_seconds)) from None


def _probes(given: Settings) -> dict[str, Probe]:
    probes: dict[str, Probe] = {}
    if given.is_given("redis_url"):
        probes["The Redis of TUNERY_REDIS_URL"] = redis_answers(given.redis_url)
    if given.is_given("s3_"):
        probes["The object store of TUNERY_S3_*"] = s3_takes_writes(given)
    if given.is_given("engine_url"):
        probes["The engine of TUNERY_ENGINE_URL"] = http_ok(f"{given.engine_url}/healthz")
    return probes


def _silence(name: str, within_seconds: float) -> str:
    return (
        f"{name} does not answer within {within_seconds:g} s: see that it runs and that address "
        "and password are right; `tunery-server doctor` tells more."
    )
