"""A run that W&B's client cannot make costs no time and is told of once."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.integrations.wandb_run import News, WandbRun
from service.core.settings import inherited_environment
from tests.polling import poll_until


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def begin(tmp_path: Path, url: str) -> WandbRun:
    beginning = {
        "run": {"id": "ftjob-1", "project": "p"},
        "settings": {
            "mode": "online",
            "root_dir": str(tmp_path),
            "api_key": "k" * 40,
            "base_url": url,
        },
    }
    environment = {
        **inherited_environment(),
        "HOME": str(tmp_path),
        "WANDB_ERROR_REPORTING": "false",
    }
    return WandbRun(beginning, environment, secret="k" * 40)


def test_a_server_that_never_answers_holds_nothing_up(tmp_path: Path, silent_server: str) -> None:
    run = begin(tmp_path, silent_server)
    for step in range(20_000):
        run.log(step, {"train_loss": 1.0})
    run.finish({}, seconds=0.5)

    assert run.take_news() == [News(problem="it takes nothing any more")]
    assert run.take_news() == []


def test_a_run_that_is_late_at_the_end_is_ended(tmp_path: Path, silent_server: str) -> None:
    run = begin(tmp_path, silent_server)
    run.finish({}, seconds=0.5)
    assert run.take_news() == [News(problem="it was not done after 0.5 seconds")]


def test_a_process_that_dies_is_told_of(tmp_path: Path, silent_server: str) -> None:
    run = begin(tmp_path, silent_server)
    run._process.kill()
    news: list[News] = []
    poll_until(lambda: bool(news.extend(run.take_news()) or news), "the death is noticed")
    assert news == [News(problem="its process ended with code -9")]
    run.log(1, {"train_loss": 1.0})
    run.abandon()
    assert run.take_news() == []
