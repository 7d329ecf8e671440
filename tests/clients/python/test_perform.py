import httpx2
import pytest

from tests.clients.python.replies import answer, job, refusal
from tunery import APIConnectionError, APIResponseError, FineTuningJob, NotFoundError, ServerError
from tunery._calls import jobs
from tunery._config import ClientConfig
from tunery._flow import Call, Outcome, Pause, Send
from tunery._perform import perform

CONFIG = ClientConfig(base_url="http://server/v1", api_key="sk-1", max_retries=2)
CREATE = jobs.create({"model": "base", "training_file": "file-1"})
LOST = httpx2.ConnectError("refused")


def steps_of(call: Call[FineTuningJob], *outcomes: Outcome) -> tuple[list[Send | Pause], object]:
    """The steps that these outcomes bring about, and the result or the exception at the end."""
    flow = perform(call, CONFIG)
    steps: list[Send | Pause] = [next(flow)]
    left = list(outcomes)
    while True:
        try:
            answer_to_step = left.pop(0) if isinstance(steps[-1], Send) else None
            steps.append(flow.send(answer_to_step))
        except StopIteration as stop:
            return steps, stop.value
        except Exception as error:
            return steps, error


def sends(steps: list[Send | Pause]) -> list[Send]:
    return [step for step in steps if isinstance(step, Send)]


def test_a_success_ends_the_flow_after_one_attempt() -> None:
    steps, result = steps_of(CREATE, answer(job()))
    assert len(steps) == 1
    assert getattr(result, "id", None) == "ftjob-1"


def test_an_attempt_is_repeated_after_a_pause_until_it_succeeds() -> None:
    steps, result = steps_of(CREATE, LOST, refusal(503), answer(job()))
    assert [type(step) for step in steps] == [Send, Pause, Send, Pause, Send]
    assert getattr(result, "id", None) == "ftjob-1"


def test_the_last_failure_is_raised_once_attempts_are_used_up() -> None:
    steps, result = steps_of(CREATE, LOST, LOST, refusal(500))
    assert len(sends(steps)) == 3
    assert isinstance(result, ServerError)
    assert isinstance(steps_of(CREATE, LOST, LOST, LOST)[1], APIConnectionError)


def test_a_final_refusal_is_raised_at_once() -> None:
    steps, result = steps_of(CREATE, refusal(404))
    assert len(steps) == 1
    assert isinstance(result, NotFoundError)


def test_repetitions_are_counted_under_both_names() -> None:
    steps, _ = steps_of(CREATE, LOST, LOST, LOST)
    for name in ("X-Tunery-Retry-Count", "X-Stainless-Retry-Count"):
        assert [send.headers[name] for send in sends(steps)] == ["0", "1", "2"]


def test_repetitions_of_a_create_carry_one_idempotency_key() -> None:
    first, _ = steps_of(CREATE, LOST, LOST, LOST)
    second, _ = steps_of(CREATE, answer(job()))
    keys = {send.headers["Idempotency-Key"] for send in sends(first)}
    assert len(keys) == 1
    assert sends(second)[0].headers["Idempotency-Key"] not in keys


def test_reading_carries_no_idempotency_key() -> None:
    steps, _ = steps_of(jobs.retrieve("ftjob-1"), answer(job()))
    assert "Idempotency-Key" not in sends(steps)[0].headers


@pytest.mark.parametrize("body", [{"id": "ftjob-1"}, [], "hello"], ids=str)
def test_an_answer_of_another_form_is_an_error_of_its_own(body: object) -> None:
    _, result = steps_of(CREATE, answer(body))
    assert isinstance(result, APIResponseError)
