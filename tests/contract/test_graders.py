"""Graders, through the official SDK."""

from typing import Any

import openai
import pytest

from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

EQUAL: dict[str, Any] = {
    "type": "string_check",
    "name": "equal",
    "input": "{{sample.output_text}}",
    "reference": "{{item.want}}",
    "operation": "eq",
}


@pytest.fixture
def judge(api: RunningApi, tenant: Tenant, engine: FakeEngine, text_codec: TextCodec) -> str:
    """A model of `tenant` that always answers with the same score."""
    engine.answers["9" * 64] = text_codec.encode('{"score": 0.5}')
    name = f"ft:{FAKE_BASE.name}:{tenant.principal.scope.organization}:judge:00000000"
    api.publish_model(tenant, name, "9" * 64)
    return name


def score_by(model: str, **changes: object) -> dict[str, Any]:
    text = {"type": "input_text", "text": "{{sample.output_text}}"}
    message = {"role": "user", "content": [text]}
    return {"type": "score_model", "name": "judged", "model": model, "input": [message], **changes}


def run(sdk: openai.OpenAI, grader: object, sample: str = "yes", **item: object) -> Any:
    return sdk.fine_tuning.alpha.graders.run(
        grader=grader,  # type: ignore[arg-type]
        model_sample=sample,
        item=item,
    )


def test_a_run_gives_reward_and_metadata(sdk: openai.OpenAI) -> None:
    result = run(sdk, EQUAL, want="yes")

    assert (result.reward, result.sub_rewards) == (1, {})
    assert result.api_model_grader_token_usage_per_model == {}
    metadata = result.metadata
    assert (metadata.name, metadata.type, metadata.scores) == (
        "equal",
        "string_check",
        {"equal": 1},
    )
    assert (metadata.token_usage, metadata.sampled_model_name) == (None, None)
    assert metadata.execution_time >= 0
    assert not any(value for value in metadata.errors.model_dump().values())
    raw = sdk.fine_tuning.alpha.graders.with_raw_response.run(
        grader=EQUAL,  # type: ignore[arg-type]
        model_sample="no",
    )
    assert len(raw.http_response.json()["metadata"]["errors"]) == 14
    assert run(sdk, EQUAL, want="no").reward == 0


def test_a_model_served_here_grades(sdk: openai.OpenAI, judge: str) -> None:
    result = run(sdk, score_by(judge))

    assert result.reward == 0.5
    assert result.metadata.sampled_model_name == judge
    assert result.metadata.token_usage > 0
    usage = result.api_model_grader_token_usage_per_model
    assert usage == {judge: result.metadata.token_usage}
    cut = run(sdk, score_by(judge, sampling_params={"max_completions_tokens": 1}))
    assert (cut.reward, cut.metadata.errors.truncated_observation_error) == (0, True)


def test_a_multi_grader_tells_of_its_parts(sdk: openai.OpenAI, judge: str) -> None:
    grader = {
        "type": "multi",
        "name": "both",
        "graders": {"equal": EQUAL, "judged": score_by(judge)},
        "calculate_output": "max(equal, judged) + 0.1",
    }

    result = run(sdk, grader, "no", want="yes")

    assert result.reward == pytest.approx(0.6)
    assert result.sub_rewards == result.metadata.scores == {"equal": 0, "judged": 0.5}


def test_the_bases_own_words_are_no_score(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    result = run(sdk, score_by(engine.bases[0].name))

    assert (result.reward, result.metadata.errors.api_model_grader_parse_error) == (0, True)


@pytest.mark.usefixtures("engine")
def test_only_usable_models_grade(sdk: openai.OpenAI, api: RunningApi, judge: str) -> None:
    with api.sdk(api.new_tenant()) as stranger:
        for call in (
            lambda: run(stranger, score_by(judge)),
            lambda: stranger.fine_tuning.alpha.graders.validate(grader=score_by(judge)),  # type: ignore[arg-type]
        ):
            with pytest.raises(openai.NotFoundError) as caught:
                call()
            assert (caught.value.code, caught.value.param) == ("model_not_found", "grader.model")


def test_a_good_grader_is_answered_as_it_was_understood(sdk: openai.OpenAI, judge: str) -> None:
    answered = sdk.fine_tuning.alpha.graders.validate(grader=EQUAL)  # type: ignore[arg-type]
    assert answered.grader is not None
    assert answered.grader.model_dump(exclude_none=True) == EQUAL
    scored = sdk.fine_tuning.alpha.graders.validate(grader=score_by(judge, range=[0, 5]))  # type: ignore[arg-type]
    assert scored.grader is not None
    assert scored.grader.model_dump()["range"] == [0, 5]


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"operation": "is"}, "invalid_value", "grader.operation"),
        ({"extra": 1}, "unsupported_parameter", "grader.extra"),
        ({"input": "{{x}}"}, "invalid_value", "grader.input"),
        ({"type": "label_model"}, "invalid_value", "grader.type"),
        (
            {"type": "python", "source": "def grade(sample, item): return 1"},
            *("unsupported_parameter", "grader.input"),
        ),
    ],
)
def test_a_bad_grader_is_refused_by_the_place_of_its_fault(
    sdk: openai.OpenAI, changes: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.alpha.graders.validate(grader={**EQUAL, **changes})  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("operation", ["run", "validate"])
def test_python_and_cosine_are_refused_by_name(sdk: openai.OpenAI, operation: str) -> None:
    python = {"type": "python", "name": "p", "source": "def grade(sample, item): return 1"}
    cosine = {
        **{k: v for k, v in EQUAL.items() if k != "operation"},
        "type": "text_similarity",
        "evaluation_metric": "cosine",
    }
    for grader, param in ((python, "grader.type"), (cosine, "grader.evaluation_metric")):
        body: dict[str, object] = {"grader": grader}
        if operation == "run":
            body["model_sample"] = "yes"
        with pytest.raises(openai.BadRequestError) as caught:
            getattr(sdk.fine_tuning.alpha.graders, operation)(**body)
        assert (caught.value.code, caught.value.param) == ("grader_unavailable", param)


@pytest.mark.parametrize(
    "input_",
    [
        [{"role": "user", "content": {"type": "input_image", "image_url": "http://x"}}],
        [{"role": "tool", "content": "x"}],
        [],
    ],
)
def test_what_a_model_here_cannot_read_is_refused(
    sdk: openai.OpenAI, judge: str, input_: list[object]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        run(sdk, score_by(judge, input=input_))
    assert str(caught.value.param).startswith("grader.input")
    with pytest.raises(openai.BadRequestError) as effort:
        run(sdk, score_by(judge, sampling_params={"reasoning_effort": "low"}))
    assert effort.value.param == "grader.sampling_params.reasoning_effort"
