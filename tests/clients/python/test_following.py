import pytest

from tests.clients.python.replies import ScriptedServer, answer, event, job, listed, refusal
from tunery import JobEvent, Tunery, WaitTimeoutError


def heard_while_waiting(client: Tunery) -> list[str]:
    heard: list[str] = []

    def hear(happened: JobEvent) -> None:
        heard.append(happened.id.removeprefix("ftevent-"))

    client.fine_tuning.jobs.wait("ftjob-1", on_event=hear, poll_seconds=0.001)
    return heard


def test_events_are_told_oldest_first_and_once() -> None:
    server = ScriptedServer(
        answer(job(status="running")),
        listed(event(2), event(1)),
        answer(job(status="running")),
        listed(event(2), event(1)),
        answer(job(status="succeeded")),
        listed(event(4), event(3), event(2), event(1)),
    )
    assert heard_while_waiting(server.sync_client()) == ["1", "2", "3", "4"]


def test_events_beyond_one_page_are_fetched_too() -> None:
    server = ScriptedServer(
        answer(job(status="succeeded")),
        listed(event(3), event(2), has_more=True),
        listed(event(1)),
    )
    assert heard_while_waiting(server.sync_client()) == ["1", "2", "3"]
    assert "after=ftevent-2" in server.paths[-1]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_waiting_ends_with_the_job_in_whichever_way(status: str) -> None:
    server = ScriptedServer(answer(job(status="paused")), answer(job(status=status)))
    done = server.sync_client().fine_tuning.jobs.wait("ftjob-1", poll_seconds=0.001)
    assert done.status == status


def test_every_poll_tells_of_the_job() -> None:
    statuses = ["queued", "running", "succeeded"]
    server = ScriptedServer(*[answer(job(status=status)) for status in statuses])
    told: list[str] = []
    server.sync_client().fine_tuning.jobs.wait(
        "ftjob-1", on_job=lambda found: told.append(found.status), poll_seconds=0.001
    )
    assert told == statuses


def test_waiting_outlasts_a_server_that_restarts() -> None:
    refusals = [refusal(503, retry_after_ms="1") for _ in range(9)]
    server = ScriptedServer(*refusals, answer(job(status="succeeded")))
    done = server.sync_client(max_retries=0).fine_tuning.jobs.wait("ftjob-1")
    assert done.status == "succeeded"


def test_patience_can_be_bounded() -> None:
    server = ScriptedServer(answer(job(status="running")))
    with pytest.raises(WaitTimeoutError, match="ftjob-1 is still running"):
        server.sync_client().fine_tuning.jobs.wait("ftjob-1", timeout_seconds=0)


def test_metrics_are_the_numbers_of_a_metrics_event() -> None:
    metrics = JobEvent.model_validate(event(1, step=3, train_loss=0.5))
    message = JobEvent.model_validate(event(2))
    assert metrics.metrics == {"step": 3, "train_loss": 0.5}
    assert message.metrics == {}
