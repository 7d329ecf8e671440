"""How each kind of component shows that it works. Probes run in threads and never raise."""

import http.client
import time
from datetime import datetime
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from service.core.errors import ServiceError
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.supervisor.component import Probe

_TIMEOUT_SECONDS = 2
_S3_PROBE_KEY = "up/ready"
_RQ_WORKERS = "rq:workers"
"""The set of RQ's worker keys; each is a hash with the second of its birth."""


def http_ok(url: str) -> Probe:
    """GET answers 200."""
    parts = urlsplit(url)

    def probe(_: float) -> bool:
        # not urllib: a proxy in the environment has no business here
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS
        )
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def redis_answers(url: str) -> Probe:
    """An authorised PING."""

    def probe(_: float) -> bool:
        try:
            with _redis(url) as client:
                return bool(client.ping())
        except RedisError:
            return False

    return probe


def s3_takes_writes(settings: Settings) -> Probe:
    """An authorised write into the bucket, which is made when missing.

    SeaweedFS's gateway answers before volumes have grown, and an empty object needs none.
    """
    store = ObjectStore.from_settings(settings)

    def probe(_: float) -> bool:
        try:
            store.ensure_bucket()
            store.put_bytes(_S3_PROBE_KEY, b"1")
        except ServiceError:
            return False
        return True

    return probe


def rq_workers_registered(url: str, number: int) -> Probe:
    """So many RQ workers have registered since the process was started."""

    def probe(started_at: float) -> bool:
        try:
            with _redis(url) as client:
                return sum(born >= started_at - 1 for born in _births(client)) >= number
        except RedisError:
            return False

    return probe


def _births(client: Redis) -> list[float]:
    births = [client.hget(key, "birth") for key in client.smembers(_RQ_WORKERS)]
    return [datetime.fromisoformat(str(birth)).timestamp() for birth in births if birth]


def outlived(seconds: float) -> Probe:
    """Still there after this long: for what offers nothing to ask."""

    def probe(started_at: float) -> bool:
        return time.time() - started_at >= seconds

    return probe


def _redis(url: str) -> Redis:
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
    )
