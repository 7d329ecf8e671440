"""Models elsewhere are asked as OpenAI's are; what goes wrong there is told by flags."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from service.core.graders import ModelAnswer, Question
from service.core.graders.endpoint import ModelEndpoint
from service.core.graders.outcome import Flags, GradingFailed
from service.core.graders.specs import SamplingParams
from service.core.settings import Settings
from tests.fakes.receiver import Receiver, running_receiver

ANSWER = {
    "choices": [{"message": {"content": '{"score": 1}'}, "finish_reason": "stop"}],
    "usage": {"total_tokens": 12},
}


@pytest.fixture
def elsewhere() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        receiver.content = json.dumps(ANSWER)
        yield receiver


def ask(receiver: Receiver, sampling: SamplingParams | None = None) -> ModelAnswer:
    settings = Settings.model_validate(
        {
            "grader_endpoint_url": receiver.url.replace("/hook", "/v1"),
            "grader_endpoint_key": "sk-elsewhere",
            "grader_endpoint_models": "gpt-judge, other",
        }
    )

    async def once() -> ModelAnswer:
        endpoint = ModelEndpoint.from_settings(settings)
        assert endpoint.models == {"gpt-judge", "other"}
        question = Question("gpt-judge", [("user", "Rate x")], sampling or SamplingParams())
        try:
            return await endpoint.ask(question)
        finally:
            await endpoint.aclose()

    return asyncio.run(once())


def fault(receiver: Receiver) -> str | None:
    with pytest.raises(GradingFailed) as caught:
        ask(receiver)
    details = caught.value.flags.model_grader_server_error_details
    assert caught.value.flags == Flags(
        model_grader_server_error=True, model_grader_server_error_details=details
    )
    return details


def test_a_question_arrives_as_a_chat_completion(elsewhere: Receiver) -> None:
    elsewhere.replies = [(200, {})] * 2
    sampling = SamplingParams(temperature=0.5, top_p=0.9, seed=3, max_completions_tokens=7)

    assert ask(elsewhere, sampling) == ModelAnswer('{"score": 1}', 12, is_truncated=False)
    ask(elsewhere)

    full, plain = elsewhere.received
    assert full.path == "/v1/chat/completions"
    assert full.headers["authorization"] == "Bearer sk-elsewhere"
    assert json.loads(full.body) == {
        "model": "gpt-judge",
        "messages": [{"role": "user", "content": "Rate x"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "max_completion_tokens": 7,
    }
    assert {*json.loads(plain.body)} == {"model", "messages"}


def test_a_busy_server_is_asked_again(elsewhere: Receiver) -> None:
    elsewhere.replies = [(429, {}), (503, {}), (200, {})]
    assert ask(elsewhere).tokens == 12
    assert len(elsewhere.received) == 3


def test_a_refusal_is_not_repeated(elsewhere: Receiver) -> None:
    elsewhere.replies = [(401, {})]
    assert fault(elsewhere) == "status_401"
    assert len(elsewhere.received) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"choices": []}', '{"choices": [null]}'])
def test_an_answer_that_is_none_is_a_fault(elsewhere: Receiver, content: str) -> None:
    elsewhere.replies, elsewhere.content = [(200, {})], content
    assert fault(elsewhere) == "unreadable"


def test_a_redirect_is_not_followed(elsewhere: Receiver) -> None:
    elsewhere.replies = [(307, {"location": elsewhere.url})]
    assert fault(elsewhere) == "status_307"
    assert len(elsewhere.received) == 1


def test_without_an_address_no_name_belongs_to_it() -> None:
    settings = Settings.model_validate({"grader_endpoint_models": "gpt-judge"})
    assert settings.grader_models == frozenset()
