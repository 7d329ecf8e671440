"""What a grader asks of a model arrives as a chat request."""

import asyncio
import json
from typing import Any, cast

import pytest

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import AnswerMessage, ChatCompletion, Choice, Usage
from service.api.chat.service import ChatService
from service.api.embeddings.service import EmbeddingService
from service.api.graders.schemas import GraderRun, RunGrader
from service.api.graders.service import GraderService
from service.core.domain.access import Principal
from service.core.errors import ModelNotFound
from service.core.graders import PythonCode
from service.core.graders.endpoint import ModelEndpoint
from service.core.settings import Settings
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.receiver import running_receiver
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


def run(
    api: RunningApi, tenant: Tenant, chat: Chat, model: str, settings: Settings, **sampling: object
) -> GraderRun:
    grader = {
        "type": "score_model",
        "name": "s",
        "model": model,
        "input": [{"role": "developer", "content": "Judge."}, {"role": "user", "content": "x"}],
        "sampling_params": sampling,
    }
    request = RunGrader.model_validate({"grader": grader, "model_sample": "y"})
    service = GraderService(
        api.database,
        cast(ChatService, chat),
        cast(EmbeddingService, None),
        python=PythonCode(),
        endpoint=ModelEndpoint.from_settings(settings),
    )
    return asyncio.run(service.run(tenant.principal, request))


def asked(api: RunningApi, tenant: Tenant, **sampling: object) -> CreateChatCompletion:
    chat = Chat()
    result = run(api, tenant, chat, FAKE_BASE.name, api.settings, **sampling)
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


def test_the_operators_models_elsewhere_grade_under_their_names(
    api: RunningApi, tenant: Tenant
) -> None:
    chat = Chat()
    with running_receiver() as elsewhere:
        elsewhere.replies = [(200, {})]
        elsewhere.content = json.dumps(
            {
                "choices": [{"message": {"content": '{"score": 0.5}'}, "finish_reason": "stop"}],
                "usage": {"total_tokens": 4},
            }
        )
        settings = Settings.model_validate(
            {"grader_endpoint_url": elsewhere.url, "grader_endpoint_models": "gpt-judge"}
        )
        result = run(api, tenant, chat, "gpt-judge", settings)

    assert (result.reward, result.metadata.sampled_model_name) == (0.5, "gpt-judge")
    assert result.model_grader_token_usage_per_model == {"gpt-judge": 4}
    assert chat.requests == []
    with pytest.raises(ModelNotFound):
        run(api, tenant, chat, "gpt-judge", api.settings)
