"""A job's samples are graded as its owner would grade them, many at once."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from jobs.graders.rewards import Rewards, Sample
from service.core.errors import InvalidRequest, ServiceError
from service.core.graders import Flags, Grader, Outcome
from tests.fakes.engine import FakeEngine
from tests.running_api import RunningApi

ADAPTER: TypeAdapter[Grader] = TypeAdapter(Grader)
TEXTS = {"input": "{{sample.output_text}}", "reference": "{{item.want}}"}
EQUAL = {"type": "string_check", "name": "e", **TEXTS, "operation": "eq"}
COSINE = {"type": "text_similarity", "name": "c", **TEXTS, "evaluation_metric": "cosine"}
LENGTH = "def grade(sample, item):\n    return len(sample['output_text']) / item['most']"
PYTHON = {"type": "python", "name": "p", "source": LENGTH}
ASKED = [{"role": "user", "content": "Rate {{sample.output_text}}"}]


def score_by(model: str) -> dict[str, Any]:
    return {"type": "score_model", "name": "s", "model": model, "input": ASKED}


def go_on() -> None:
    """Nothing ends the grading."""


def grade(rewards: Rewards, grader: object, samples: Sequence[Sample]) -> list[Outcome]:
    return rewards.grade(ADAPTER.validate_python(grader), samples, go_on)


def test_rewards_come_in_the_order_of_the_samples(rewards: Rewards) -> None:
    samples = [Sample(str(n % 3), {"want": "1"}) for n in range(100)]
    outcomes = grade(rewards, EQUAL, samples)
    assert [outcome.reward for outcome in outcomes] == [float(n % 3 == 1) for n in range(100)]
    assert grade(rewards, EQUAL, []) == []


@pytest.mark.usefixtures("sandbox", "engine")
def test_every_kind_of_grader_works_in_a_job(rewards: Rewards, judge: str) -> None:
    label = {**score_by(judge), "type": "label_model", "labels": ["a"], "passing_labels": ["a"]}
    parts = {"e": EQUAL, "c": COSINE, "p": PYTHON, "s": score_by(judge), "l": label}
    grader = {"type": "multi", "name": "m", "graders": parts, "calculate_output": "e+c+p+s+l"}

    same, other = grade(
        rewards, grader, [Sample("yes", {"want": "yes", "most": 6}), Sample("no", {"want": "yes"})]
    )

    assert dict(same.sub_rewards) == pytest.approx({"e": 1, "c": 1, "p": 0.5, "s": 0.25, "l": 0})
    assert same.flags == Flags(model_grader_parse_error=True)  # the judge gives scores, no labels
    assert same.tokens[judge] > 0
    assert (other.sub_rewards["e"], other.sub_rewards["p"]) == (0, 0)
    assert other.flags.python_grader_runtime_error
    assert "KeyError: 'most'" in str(other.flags.python_grader_runtime_error_details)


@pytest.mark.usefixtures("engine")
def test_a_model_of_another_project_ends_the_grading(
    rewards: Rewards, api: RunningApi, judge: str
) -> None:
    stranger = api.new_tenant().principal.scope.project_id
    settings = api.settings.model_copy(update={"api_url": api.url})
    with (
        Rewards(settings, api.database, stranger) as theirs,
        pytest.raises(InvalidRequest, match="does not exist"),
    ):
        grade(theirs, score_by(judge), [Sample("x", {})])
    assert grade(rewards, score_by(judge), [Sample("x", {})])[0].reward == 0.25


@pytest.mark.usefixtures("engine")
def test_a_question_that_a_model_cannot_take_costs_one_reward(rewards: Rewards, judge: str) -> None:
    long, short = grade(rewards, score_by(judge), [Sample("x " * 90_000, {}), Sample("x", {})])
    assert (long.reward, short.reward) == (0, 0.25)
    assert long.flags == Flags(
        model_grader_server_error=True,
        model_grader_server_error_details="context_length_exceeded",
    )


def test_what_ends_the_attempt_ends_the_grading(
    rewards: Rewards, engine: FakeEngine, judge: str
) -> None:
    class Ended(ServiceError):
        pass

    calls = 0

    def end_at_the_second_look() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Ended("the job was cancelled")

    engine.hold_streams()
    try:
        with pytest.raises(Ended):
            rewards.grade(
                ADAPTER.validate_python(score_by(judge)),
                [Sample("x", {})],
                end_at_the_second_look,
            )
    finally:
        engine.release()
