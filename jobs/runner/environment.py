"""What a policy lives in: its base's text, and graders or a reward model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import TypeAdapter

from jobs.graders.rewards import Rewards, Sample
from jobs.methods.method import Answered
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import Inputs, load_codec
from jobs.runner.reward_model import RewardModelClient
from service.core.domain.methods import ReinforcementMethod, RlhfMethod
from service.core.errors import GraderUnreachable
from service.core.graders import Grader, Outcome
from service.core.text import TextCodec

_GRADER: TypeAdapter[Grader] = TypeAdapter(Grader)

Reward = Callable[[Sequence[Answered]], Sequence[float]]


@dataclass(frozen=True)
class PolicyEnvironment:
    """See `jobs.methods.method.Environment`."""

    codec: TextCodec
    context_length: int
    reward: Reward

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        return tuple(self.codec.stop_token_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return self.codec.decode(tokens)

    def rewards(self, answers: Sequence[Answered]) -> Sequence[float]:
        return self.reward(answers)


def rewards_of(outcomes: Sequence[Outcome]) -> list[float]:
    """Raises GraderUnreachable rather than let the policy learn from zeros that mean nothing."""
    for outcome in outcomes:
        if outcome.is_lost:
            flags = outcome.flags
            why = flags.model_grader_server_error_details or flags.python_grader_server_error_type
            raise GraderUnreachable(f"the grader gives no rewards ({why})")
    return [outcome.reward for outcome in outcomes]


@contextmanager
def environment_of(
    attempt: Attempt, inputs: Inputs, pulse: Callable[[], None]
) -> Iterator[PolicyEnvironment | None]:
    """None for a method that learns from rows alone. `pulse` is called while rewards are waited
    for, and may raise."""
    method = inputs.job.method
    if not isinstance(method, ReinforcementMethod | RlhfMethod):
        yield None
        return
    codec, length = load_codec(attempt, inputs.base), inputs.base.context_length
    settings, project = attempt.resources.settings, attempt.scope.project_id
    if isinstance(method, RlhfMethod):
        with RewardModelClient(settings, project, method.reward_model, pulse) as model:
            yield PolicyEnvironment(codec, length, model.score)
        return
    grader = _GRADER.validate_python(dict(method.grader))
    with Rewards(settings, attempt.resources.database, project) as graders:

        def grade(answers: Sequence[Answered]) -> Sequence[float]:
            samples = [Sample(answer.text, answer.prompt.item or {}) for answer in answers]
            return rewards_of(graders.grade(grader, samples, pulse))

        yield PolicyEnvironment(codec, length, grade)
