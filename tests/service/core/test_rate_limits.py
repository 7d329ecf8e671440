"""Limits of a project: counted over all processes, and never in the way of a request by failing."""

from collections.abc import Iterator

import pytest
from redis import Redis

from service.core.ids import new_project_id
from service.core.rate_limits import RateLimits, Share
from tests.servers.ports import free_port


@pytest.fixture
def limits(valkey_url: str) -> Iterator[RateLimits]:
    made = RateLimits(valkey_url, requests=2, tokens=10)
    yield made
    made.close()


def test_requests_are_counted_by_project_and_over_processes(
    valkey_url: str, limits: RateLimits
) -> None:
    project, other = new_project_id(), new_project_id()
    second_process = RateLimits(valkey_url, requests=2, tokens=10)

    first = limits.admit(project).requests
    second = second_process.admit(project).requests
    third = limits.admit(project).requests
    second_process.close()

    assert (first.limit, first.remaining, first.exceeded) == (2, 1, False)
    assert (second.remaining, second.exceeded) == (0, False)
    assert (third.remaining, third.exceeded) == (0, True)
    assert 0 < third.reset_seconds <= 61
    assert not limits.admit(other).requests.exceeded


def test_tokens_count_also_beyond_what_is_left(limits: RateLimits) -> None:
    project = new_project_id()
    assert limits.admit(project).tokens == Share(10, 10, 0.0)

    limits.spend(project, 4)
    assert (limits.admit(project).tokens.remaining, limits.admit(project).tokens.exceeded) == (
        6,
        False,
    )
    limits.spend(project, 100)
    assert limits.admit(project).tokens.exceeded


def test_a_window_that_has_ended_begins_anew(valkey_url: str, limits: RateLimits) -> None:
    project = new_project_id()
    for _ in range(3):
        limits.admit(project)
    with Redis.from_url(valkey_url) as redis:
        for key in redis.scan_iter(f"*{project}*"):
            assert 0 < redis.ttl(key) <= 60
            redis.delete(key)  # as the end of its time does

    assert not limits.admit(project).requests.exceeded


def test_without_redis_everything_is_allowed() -> None:
    limits = RateLimits(f"redis://127.0.0.1:{free_port()}/0", requests=1, tokens=1)
    limits.spend("project", 100)

    standings = [limits.admit("project") for _ in range(3)]

    assert {standing.requests for standing in standings} == {Share(1, 1, 0.0)}
    assert {standing.tokens for standing in standings} == {Share(1, 1, 0.0)}
