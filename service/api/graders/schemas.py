"""Wire shapes of grader runs; a grader itself travels as `service.core.graders` has it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from service.api.wire import Answer, RequestBody
from service.core.graders import Grader, Outcome
from service.core.graders.specs import MAX_TEXT, ModelGrader


class RunGrader(RequestBody):
    """A grader and what it shall grade."""

    grader: Grader
    model_sample: Annotated[str, Field(max_length=MAX_TEXT)]
    """`sample.output_text`, and as JSON `sample.output_json`."""
    item: dict[str, Any] | None = None


class ValidateGrader(RequestBody):
    """A grader to be checked."""

    grader: Grader


class ValidatedGrader(Answer):
    """The grader as it was understood."""

    grader: dict[str, Any]

    @classmethod
    def from_spec(cls, grader: Grader) -> "ValidatedGrader":
        return cls(grader=grader.model_dump(mode="json", exclude_none=True))


class GraderErrors(Answer):
    """What kept a grader from giving a reward."""

    formula_parse_error: bool
    sample_parse_error: bool
    truncated_observation_error: bool
    unresponsive_reward_error: bool
    invalid_variable_error: bool
    other_error: bool
    python_grader_server_error: bool
    python_grader_server_error_type: str | None
    python_grader_runtime_error: bool
    python_grader_runtime_error_details: str | None
    model_grader_server_error: bool
    model_grader_refusal_error: bool
    model_grader_parse_error: bool
    model_grader_server_error_details: str | None


class GraderRunMetadata(Answer):
    """How the reward came about."""

    name: str
    type: str
    errors: GraderErrors
    execution_time: float
    """Seconds."""
    scores: Mapping[str, float]
    token_usage: int | None
    sampled_model_name: str | None


class GraderRun(Answer):
    """A reward, and of a multi grader those of its parts."""

    reward: float
    metadata: GraderRunMetadata
    sub_rewards: Mapping[str, float]
    model_grader_token_usage_per_model: Mapping[str, int]

    @classmethod
    def from_outcome(cls, grader: Grader, outcome: Outcome, *, seconds: float) -> "GraderRun":
        return cls(
            reward=outcome.reward,
            metadata=GraderRunMetadata(
                name=grader.name,
                type=grader.type,
                errors=GraderErrors(**asdict(outcome.flags)),
                execution_time=seconds,
                scores=outcome.sub_rewards or {grader.name: outcome.reward},
                token_usage=sum(outcome.tokens.values()) if outcome.tokens else None,
                sampled_model_name=grader.model if isinstance(grader, ModelGrader) else None,
            ),
            sub_rewards=outcome.sub_rewards,
            model_grader_token_usage_per_model=outcome.tokens,
        )
