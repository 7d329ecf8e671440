"""What a grader asks of a model arrives as a chat request."""

import asyncio
from typing import Any, cast

import pytest

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import AnswerMessage, ChatCompletion, Choice, Usage
from service.api.chat.service import ChatService
from service.api.graders.schemas import RunGrader
from service.api.graders.service import GraderService
from service.core.domain.access import Principal
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant


class Chat:
    """Keeps the requests; always gives a score of 1."""

    def __init__(self) -> None:
        self.requests: list[CreateChatCompletion] = []

    async def complete(self, _caller: Principal, request: CreateChatCompletion) -> ChatCompletion:
        self.requests.append(request)
        message = AnswerMessage(content='{"score": 1}')
        return ChatCompletion(
            id="chatcmpl-1",
            created=1,
            model=request.model,
            choices=[Choice(index=0, message=message, finish_reason="stop")],
            usage=Usage.of(prompt=7, completion=3),
            system_fingerprint="fp",
        )


def asked(api: RunningApi, tenant: Tenant, **sampling: object) -> CreateChatCompletion:
    chat = Chat()
    grader = {
        "type": "score_model",
        "name": "s",
        "model": FAKE_BASE.name,
        "input": [{"role": "developer", "content": "Judge."}, {"role": "user", "content": "x"}],
        "sampling_params": sampling,
    }
    request = RunGrader.model_validate({"grader": grader, "model_sample": "y"})
    service = GraderService(api.database, cast(ChatService, chat))
    result = asyncio.run(service.run(tenant.principal, request))
    assert (result.reward, result.metadata.token_usage) == (1, 10)
    return chat.requests[0]


@pytest.mark.parametrize(
    ("name", "value", "member", "default"),
    [
        ("temperature", 0.7, "temperature", 0),
        ("top_p", 0.5, "top_p", None),
        ("seed", 4, "seed", None),
        ("max_completions_tokens", 9, "max_completion_tokens", None),
    ],
)
def test_sampling_parameters_are_those_of_the_chat(
    api: RunningApi,
    tenant: Tenant,
    engine: FakeEngine,
    name: str,
    value: Any,
    member: str,
    default: Any,
) -> None:
    assert engine.bases[0].name == FAKE_BASE.name
    assert getattr(asked(api, tenant), member) == default
    assert getattr(asked(api, tenant, **{name: value}), member) == value


def test_roles_stay_as_they_are(api: RunningApi, tenant: Tenant, engine: FakeEngine) -> None:
    assert engine.bases[0].name == FAKE_BASE.name
    assert [message.role for message in asked(api, tenant).messages] == ["developer", "user"]
