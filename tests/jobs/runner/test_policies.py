"""Policies: lost and paused attempts go on within a rollout, and only what was graded teaches."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from jobs.methods.examples import Example, TokenRow
from jobs.methods.method import Answered
from jobs.runner.control import AttemptControl
from jobs.runner.environment import rewards_of
from jobs.runner.reward_model import RewardModelClient
from service.core.domain.jobs import JobStatus, StartPoint
from service.core.domain.methods import (
    Method,
    ReinforcementMethod,
    RewardModelMethod,
    RlhfMethod,
    SupervisedMethod,
    UnsupervisedMethod,
)
from service.core.domain.models import TunedModel
from service.core.domain.tunings import FullTuningSpec, LoraTuningSpec, TuningSpec
from service.core.domain.work import WorkRequest
from service.core.engine_protocol import (
    Command,
    ForwardBackward,
    OptimStep,
    Sample,
    TrainingRow,
)
from service.core.errors import EngineUnavailable, GraderUnreachable, ServiceError
from service.core.graders import Flags, Outcome
from service.core.hyperparameters import Hyperparameters
from service.core.repositories.states import StateRepository
from tests.fakes.engine import FakeEngine
from tests.fakes.scorer import Scorer, running_scorer
from tests.jobs.runner.test_methods import GRADER, PAIRS, PROMPTS, TEXTS, run
from tests.jobs.shop import BASE, GOOD_LINES, Shop

PPO = RlhfMethod(
    "ft:scorer", rollout_batch_size=12, ppo_epochs=2, max_completion_tokens=40, temperature=0.5
)
"""A rollout an epoch of 6 steps, in batches of 4."""
GRPO = ReinforcementMethod(grader=GRADER, samples_per_prompt=2, max_completion_tokens=40)
"""A rollout a step, 3 steps an epoch."""
STEPS: dict[str, tuple[Method, int]] = {"ppo": (PPO, 12), "grpo": (GRPO, 6)}
ONE_CHECKPOINT = Hyperparameters(batch_size=4, n_epochs=2, n_checkpoints=1)


@pytest.fixture
def scorer() -> Iterator[Scorer]:
    with running_scorer() as running:
        yield running


@pytest.fixture
def policies(shop: Shop, scorer: Scorer, engine: FakeEngine) -> Shop:
    """States are due after every step."""
    assert engine.sessions == {}
    update = {"state_seconds": 0, "api_url": scorer.url}
    settings = shop.resources.settings.model_copy(update=update)
    return replace(shop, resources=replace(shop.resources, settings=settings))


class Learned:
    """The rows of each step, with all that is learned from them; of a repeated step the last."""

    def __init__(self, engine: FakeEngine) -> None:
        self.rows: dict[int, tuple[TrainingRow, ...]] = {}
        self.draws: list[int] = []
        self.interrupt: Callable[[Command], ServiceError | None] = lambda _: None
        engine.fail_commands(self._note)

    def _note(self, command: Command) -> ServiceError | None:
        if isinstance(command, ForwardBackward):
            self.rows[command.step] = command.rows
        if isinstance(command, Sample):
            self.draws.append(command.step)
        return self.interrupt(command)


def new_job(shop: Shop, method: Method, **changes: int) -> str:
    numbers = replace(ONE_CHECKPOINT, **changes)
    held_out = [*PROMPTS[:1], PROMPTS[0].replace("Say 0", "Say this")] if changes else None
    job_id = shop.create_job(
        PROMPTS, validation_lines=held_out, method=method, hyperparameters=numbers
    )
    shop.validate(job_id)
    return job_id


def beginnings(shop: Shop, job_id: str) -> list[object]:
    """After which step each attempt began."""
    started = [e.data for e in shop.events(job_id) if e.data.get("code") == "attempt_started"]
    return [data["after_step"] for data in started]


def uninterrupted(shop: Shop, engine: FakeEngine, method: Method) -> Learned:
    learned = Learned(engine)
    twin = new_job(shop, method)
    shop.train()
    assert shop.status(twin) is JobStatus.SUCCEEDED
    return learned


def lose_at(learned: Learned, step: int) -> None:
    lost: list[Command] = []

    def fail_once(command: Command) -> ServiceError | None:
        if isinstance(command, OptimStep) and command.step == step and not lost:
            lost.append(command)
            return EngineUnavailable("the engine died")
        return None

    learned.interrupt = fail_once


@pytest.mark.parametrize(("name", "step"), [("ppo", 4), ("ppo", 9), ("grpo", 5)])
def test_a_lost_attempt_goes_on_within_its_rollout_and_learns_the_same(
    policies: Shop, engine: FakeEngine, name: str, step: int
) -> None:
    method, steps = STEPS[name]
    expected = uninterrupted(policies, engine, method)
    learned = Learned(engine)
    lose_at(learned, step)
    job_id = new_job(policies, method)

    policies.train()
    policies.end_pauses()
    policies.train()

    assert policies.status(job_id) is JobStatus.SUCCEEDED
    assert beginnings(policies, job_id)[1] in (step - 2, step - 1), "the last that was stored"
    assert learned.rows == expected.rows
    assert sorted(learned.rows) == policies.steps(job_id) == list(range(1, steps + 1))
    if name == "ppo":
        assert learned.draws == expected.draws, "a rollout is drawn once"


def test_a_pause_within_a_rollout_keeps_what_it_learns_from(
    policies: Shop, engine: FakeEngine
) -> None:
    expected = uninterrupted(policies, engine, PPO)
    learned, control, reached = Learned(engine), AttemptControl(), threading.Event()

    def hold(command: Command) -> None:
        if isinstance(command, OptimStep) and command.step == 3 and not reached.is_set():
            engine.hold_training()
            reached.set()

    learned.interrupt = hold
    job_id = new_job(policies, PPO)
    with policies.training(control):
        assert reached.wait(20)
        policies.pause(job_id)
        control.ask(WorkRequest.PAUSE)
        engine.release()
    assert policies.status(job_id) is JobStatus.PAUSED
    assert [checkpoint.step for checkpoint in policies.checkpoints(job_id)] == [3]

    policies.resume(job_id)
    policies.train()

    assert policies.status(job_id) is JobStatus.SUCCEEDED
    assert learned.rows == expected.rows
    assert learned.draws == expected.draws


def test_a_state_whose_answers_are_gone_is_given_up(policies: Shop, engine: FakeEngine) -> None:
    learned = Learned(engine)
    lose_at(learned, 5)
    job_id = new_job(policies, PPO)
    policies.train()
    with policies.database.snapshot() as connection:
        newest, older = StateRepository(connection, policies.scope).list(job_id)
    policies.resources.store.delete_prefix(f"{newest.place.key}/kept")

    for _ in range(2):
        policies.end_pauses()
        policies.train()

    assert policies.status(job_id) is JobStatus.SUCCEEDED
    assert beginnings(policies, job_id) == [0, newest.step, older.step]


@pytest.mark.parametrize("method", [PPO, replace(GRPO, eval_interval=5)])
def test_rewards_of_the_validation_file_come_at_every_interval(
    policies: Shop, engine: FakeEngine, method: Method
) -> None:
    assert engine.sessions == {}
    job_id = new_job(policies, method, eval_steps=5)
    policies.train()

    told = [event.data for event in policies.events(job_id) if event.type == "metrics"]
    steps = [data["step"] for data in told if "valid_reward_mean" in data]
    assert steps == ([0, 5, 10, 12] if method is PPO else [0, 5, 6])


def test_a_rollout_is_scored_by_one_request(
    policies: Shop, engine: FakeEngine, scorer: Scorer
) -> None:
    assert engine.sessions == {}
    new_job(policies, PPO)
    policies.train()

    assert [len(body["input"]) for body in scorer.asked] == [12, 12]
    assert scorer.asked[0]["model"] == PPO.reward_model
    assert [message["role"] for message in scorer.asked[0]["input"][0]] == ["user", "assistant"]


def test_stages_chain_from_text_to_a_policy(
    policies: Shop, engine: FakeEngine, scorer: Scorer
) -> None:
    """What the engine makes of each start is its own tests' affair."""
    starts: dict[str | None, str | None] = {}

    def note(_: Command) -> None:
        for session in engine.sessions.values():
            ref = session.request.start_from
            starts[session.request.job] = ref and ref.key

    engine.fail_commands(note)
    stages: list[tuple[Method, list[str], TuningSpec]] = [
        (UnsupervisedMethod(), TEXTS, FullTuningSpec()),
        (SupervisedMethod(), list(GOOD_LINES), LoraTuningSpec()),
        (RewardModelMethod(), PAIRS, LoraTuningSpec()),
    ]
    models: list[TunedModel] = []
    for method, lines, tuning in stages:
        start = StartPoint(models[-1].name, models[-1].delta) if models else None
        models.append(published(policies, method, lines, tuning=tuning, start=start))
    read, taught, judge = models
    policy = replace(PPO, reward_model=judge.name)
    start = StartPoint(taught.name, taught.delta)
    tuned = published(policies, policy, PROMPTS, tuning=LoraTuningSpec(), start=start)

    assert [starts[model.job_id] for model in (read, taught, judge, tuned)] == [
        None,
        read.delta.key,
        taught.delta.key,
        taught.delta.key,
    ]
    assert {body["model"] for body in scorer.asked} == {judge.name}
    assert all(model.base == BASE for model in (*models, tuned))


def published(shop: Shop, method: Method, lines: list[str], **options: Any) -> TunedModel:
    model = shop.model(run(shop, method, lines, hyperparameters=ONE_CHECKPOINT, **options))
    assert model is not None
    return model


def scored(shop: Shop, texts: list[str], *, patience_seconds: float = 60.0) -> list[float]:
    prompt = Example((TokenRow.of(1, [1], [0]),), messages=({"role": "user", "content": "a"},))
    settings = shop.resources.settings
    with RewardModelClient(
        settings, "p", "ft:m", lambda: None, patience_seconds=patience_seconds
    ) as client:
        return client.score([Answered(prompt, text) for text in texts])


def test_what_is_too_much_for_a_request_is_several_in_order(policies: Shop, scorer: Scorer) -> None:
    texts = ["a" * 90_000, "b" * 120_000, "c", "d" * 250_000, "é"]

    assert scored(policies, texts) == [float(len(text)) for text in texts]
    assert sorted(len(body["input"]) for body in scorer.asked) == [1, 1, 1, 2]


def test_answers_with_other_tools_are_asked_about_apart(policies: Shop, scorer: Scorer) -> None:
    tool = {"type": "function", "function": {"name": "look_up"}}
    plain = Example((TokenRow.of(1, [1], [0]),), messages=({"role": "user", "content": "a"},))
    armed = replace(plain, tools=(tool,))
    answered = [Answered(prompt, "abc") for prompt in (plain, plain, armed)]

    with RewardModelClient(policies.resources.settings, "p", "ft:m", lambda: None) as client:
        assert client.score(answered) == [3.0, 3.0, 3.0]

    asked = sorted((len(body["input"]), body.get("tools")) for body in scorer.asked)
    assert asked == [(1, [tool]), (2, None)]


def test_a_reward_model_that_is_away_ends_the_attempt_and_not_the_job(
    policies: Shop, scorer: Scorer
) -> None:
    scorer.status = 503

    with pytest.raises(EngineUnavailable):
        scored(policies, ["a"], patience_seconds=0)


def test_nothing_is_learned_from_zeros_of_a_grader_that_is_away() -> None:
    wrong = Outcome.failed(Flags(model_grader_parse_error=True))
    away = Outcome.failed(
        Flags(model_grader_server_error=True, model_grader_server_error_details="unreachable"),
        is_lost=True,
    )

    assert rewards_of([Outcome(1.0), wrong]) == [1.0, 0.0]
    with pytest.raises(GraderUnreachable, match="unreachable"):
        rewards_of([Outcome(1.0), away])
