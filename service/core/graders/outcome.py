"""What grading gives: a reward, and flags for whatever went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Flags:
    """What kept a grader from giving a reward; the reward is 0 then."""

    formula_parse_error: bool = False
    sample_parse_error: bool = False
    """A template reads `sample.output_json`, and the sample is not JSON."""
    truncated_observation_error: bool = False
    """The grading model's answer reached its limit of tokens."""
    unresponsive_reward_error: bool = False
    """The formula gives no finite number."""
    invalid_variable_error: bool = False
    """A template names something that is not there."""
    other_error: bool = False
    """A text is too long: once its look-ups are filled in, for the metric, or for its model."""
    python_grader_server_error: bool = False
    python_grader_server_error_type: str | None = None
    python_grader_runtime_error: bool = False
    """The function raised, took too long, or returned no finite number."""
    python_grader_runtime_error_details: str | None = None
    """Its traceback, and the end of what it printed."""
    model_grader_server_error: bool = False
    model_grader_refusal_error: bool = False
    """The grading model answered with nothing."""
    model_grader_parse_error: bool = False
    """Its answer is not the JSON that was asked for, or outside the range or the labels."""
    model_grader_server_error_details: str | None = None

    def __or__(self, other: "Flags") -> "Flags":
        return Flags(**{n: mine or getattr(other, n) for n, mine in vars(self).items()})


@dataclass(frozen=True)
class Outcome:
    """Of one grader; of a multi grader with those of its parts."""

    reward: float
    flags: Flags = field(default_factory=Flags)
    sub_rewards: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Spent by grading models, by their names."""
    is_lost: bool = False
    """Whether a grader could not be asked: its 0 says nothing of the sample, nor may one learn from
    it."""

    @classmethod
    def failed(
        cls, flags: Flags, tokens: Mapping[str, int] | None = None, *, is_lost: bool = False
    ) -> "Outcome":
        return cls(0.0, flags, tokens=tokens or {}, is_lost=is_lost)


class GradingFailed(Exception):
    """Ends one grader; never leaves the package."""

    def __init__(self, flags: Flags, *, is_lost: bool = False) -> None:
        """`is_lost` as an outcome has it."""
        super().__init__(str(flags))
        self.flags = flags
        self.is_lost = is_lost
