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


def python(source: str) -> dict[str, Any]:
    return {"type": "python", "name": "mine", "source": source, "image_tag": "2025-05-08"}


@pytest.mark.usefixtures("sandbox")
def test_a_python_function_grades(sdk: openai.OpenAI) -> None:
    source = """
def grade(sample, item):
    return item["weight"] * (sample["output_json"]["answer"] == 42)
"""
    result = run(sdk, python(source), '{"answer": 42}', weight=0.5)

    assert (result.reward, result.metadata.type) == (0.5, "python")
    assert not any(result.metadata.errors.model_dump().values())
    both = {
        "type": "multi",
        "name": "both",
        "graders": {"mine": python(source), "equal": EQUAL},
        "calculate_output": "mine + equal",
    }
    assert run(sdk, both, '{"answer": 42}', weight=0.5, want="x").reward == 0.5


@pytest.mark.usefixtures("sandbox")
def test_what_a_python_function_does_wrong_is_told_as_metadata(sdk: openai.OpenAI) -> None:
    result = run(sdk, python("def grade(sample, item):\n    return sample['no']"))

    errors = result.metadata.errors
    assert (result.reward, errors.python_grader_runtime_error) == (0, True)
    assert "KeyError: 'no'" in errors.python_grader_runtime_error_details
    assert not errors.python_grader_server_error


@pytest.mark.usefixtures("sandbox")
def test_a_python_source_is_loaded_when_it_is_validated(sdk: openai.OpenAI) -> None:
    good = python("def grade(sample, item):\n    return sample['only known when run']")
    answered = sdk.fine_tuning.alpha.graders.validate(grader=good)  # type: ignore[arg-type]
    assert answered.grader is not None
    assert answered.grader.model_dump(exclude_none=True) == good
    for source, words in (("def grade(", "SyntaxError"), ("x = 1", "no function")):
        with pytest.raises(openai.BadRequestError, match=words) as caught:
            sdk.fine_tuning.alpha.graders.validate(grader=python(source))  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.param) == ("invalid_value", "grader.source")


def similarity(metric: str) -> dict[str, Any]:
    without = {k: v for k, v in EQUAL.items() if k != "operation"}
    return {**without, "type": "text_similarity", "evaluation_metric": metric}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    "metric",
    [
        *("cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_l"),
        *(f"rouge_{n}" for n in range(1, 6)),
    ],
)
def test_every_metric_knows_the_same_from_another(sdk: openai.OpenAI, metric: str) -> None:
    text = "the cat sat on the mat"
    same = run(sdk, similarity(metric), text, want=text)
    other = run(sdk, similarity(metric), "dogs", want=text)

    assert same.reward == pytest.approx(1, abs=0.01)
    assert other.reward < same.reward
    assert sdk.fine_tuning.alpha.graders.validate(grader=similarity(metric)).grader  # type: ignore[arg-type]


@pytest.mark.usefixtures("engine")
def test_a_text_that_the_embedding_model_cannot_hold_is_flagged(sdk: openai.OpenAI) -> None:
    result = run(sdk, similarity("cosine"), "x" * 100, want="y")
    assert (result.reward, result.metadata.errors.other_error) == (0, True)


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
