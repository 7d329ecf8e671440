"""Requests and tokens of a project a minute, counted in Redis over all api processes.

Counters are no truth: while Redis is away everything is allowed.
"""

import logging
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import ConnectionPool
from redis.exceptions import RedisError

from service.core.domain.access import ProjectLimits
from service.core.settings import Settings

_NO_LIMITS = ProjectLimits()

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 0.25
"""Redis answers in far less; a request waits no longer."""
_AWAY_SECONDS = 5.0
"""After a failure Redis is left alone for this long."""


@dataclass(frozen=True)
class Share:
    """One limit of a project at this moment."""

    limit: int
    remaining: int
    reset_seconds: float
    """Until the whole limit is there again; 0 when it is."""
    exceeded: bool = False


@dataclass(frozen=True)
class Standing:
    """Both limits of a project at this moment."""

    requests: Share
    tokens: Share


class RateLimits:
    """Fixed windows of a minute, which begin with a project's first request or token. For any
    number of threads."""

    def __init__(self, redis_url: str, *, requests: int, tokens: int) -> None:
        """Connects at the first use."""
        self._pool = ConnectionPool.from_url(
            redis_url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        )
        storage = RedisStorage("redis://", connection_pool=self._pool)
        self._windows = FixedWindowRateLimiter(storage)
        self._requests = RateLimitItemPerMinute(requests, namespace="requests")
        self._tokens = RateLimitItemPerMinute(tokens, namespace="tokens")
        self._away_until = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> "RateLimits":
        return cls(
            settings.redis_url,
            requests=settings.requests_per_minute,
            tokens=settings.tokens_per_minute,
        )

    @property
    def requests_per_minute(self) -> int:
        """Of a project without a limit of its own."""
        return self._requests.amount

    @property
    def tokens_per_minute(self) -> int:
        """Of a project without a limit of its own."""
        return self._tokens.amount

    def admit(self, project_id: str, limits: ProjectLimits = _NO_LIMITS) -> Standing:
        """Count one request against the project's limits, where it has its own. It is the caller
        who refuses what exceeds a limit."""
        requests = _own(self._requests, limits.requests_per_minute)
        tokens = _own(self._tokens, limits.tokens_per_minute)
        if not self._is_away():
            try:
                within = self._windows.hit(requests, project_id)
                return Standing(
                    requests=self._share(requests, project_id, exceeded=not within),
                    tokens=self._tokens_of(tokens, project_id),
                )
            except RedisError as error:
                self._note_away(error)
        return Standing(_whole(requests), _whole(tokens))

    def spend(self, project_id: str, tokens: int, limits: ProjectLimits = _NO_LIMITS) -> None:
        """Count tokens, which may be more than are left: the window then stays exceeded."""
        if tokens > 0 and not self._is_away():
            try:
                item = _own(self._tokens, limits.tokens_per_minute)
                self._windows.hit(item, project_id, cost=tokens)
            except RedisError as error:
                self._note_away(error)

    def close(self) -> None:
        self._pool.disconnect()

    def _tokens_of(self, item: RateLimitItemPerMinute, project_id: str) -> Share:
        share = self._share(item, project_id, exceeded=False)
        return Share(share.limit, share.remaining, share.reset_seconds, share.remaining == 0)

    def _share(self, item: RateLimitItemPerMinute, project_id: str, *, exceeded: bool) -> Share:
        reset_at, remaining = self._windows.get_window_stats(item, project_id)
        reset_seconds = max(0.0, reset_at - time.time())
        return Share(item.amount, remaining, reset_seconds, exceeded)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _note_away(self, error: RedisError) -> None:
        logger.warning("no rate limits for %.0f s: %s", _AWAY_SECONDS, error)
        self._away_until = time.monotonic() + _AWAY_SECONDS


def _own(item: RateLimitItemPerMinute, limit: int | None) -> RateLimitItemPerMinute:
    return item if limit is None else RateLimitItemPerMinute(limit, namespace=item.namespace)


def _whole(item: RateLimitItemPerMinute) -> Share:
    return Share(item.amount, item.amount, 0.0)
