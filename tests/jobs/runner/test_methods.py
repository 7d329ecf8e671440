"""Every method asks the engine for its loss, rows and head, and tells its own metrics."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from jobs.runner.receipt import code_version
from service.core.domain.jobs import JobStatus, StartPoint
from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    Method,
    ReinforcementMethod,
    RewardModelMethod,
    SupervisedMethod,
    UnsupervisedMethod,
)
from service.core.domain.models import Delta
from service.core.domain.tunings import HeadTuningSpec, LoraTuningSpec, TuningSpec
from service.core.engine_protocol import (
    Command,
    Forward,
    ForwardBackward,
    OpenSession,
    OptimStep,
    Sample,
    Save,
)
from service.core.errors import EngineUnavailable, ServiceError
from service.core.hyperparameters import Hyperparameters
from service.core.ledger import Ledger
from tests.fakes.engine import FakeEngine
from tests.fakes.session import FakeSession
from tests.jobs.shop import GOOD_LINES, OTHER_LINES, SMALL, Shop

TEXTS = [json.dumps({"text": f"Chapter {n}. " + "A fox is red. " * n}) for n in range(1, 13)]
LABELLED = [
    json.dumps({"text": f"animal {n}", "label": ("fox", "owl", "whale")[n % 3]}) for n in range(12)
]
PAIRS = [
    json.dumps(
        {
            "input": {"messages": [{"role": "user", "content": f"Which animal is {n}?"}]},
            "preferred_completion": [{"role": "assistant", "content": "A red fox."}],
            "non_preferred_completion": [{"role": "assistant", "content": f"No idea {n}."}],
        }
    )
    for n in range(12)
]
PROMPTS = [
    json.dumps({"messages": [{"role": "user", "content": f"Say {n}"}], "right": str(n)})
    for n in range(12)
]
GRADER = {
    "type": "string_check",
    "name": "says it",
    "input": "{{sample.output_text}}",
    "reference": "{{item.right}}",
    "operation": "like",
}


class Watched:
    """What the engine was asked for, over all attempts."""

    def __init__(self, engine: FakeEngine) -> None:
        self.commands: list[Command] = []
        self.requests: list[OpenSession] = []
        engine.fail_commands(self._note)
        self._engine = engine

    def _note(self, command: Command) -> None:
        self.commands.append(command)
        self.requests += [
            session.request
            for session in self._engine.sessions.values()
            if session.request not in self.requests
        ]

    def of(self, kind: type[Command]) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]


@pytest.fixture
def watched(engine: FakeEngine) -> Watched:
    return Watched(engine)


def run(
    shop: Shop,
    method: Method,
    lines: list[str],
    held_out: list[str] | None = None,
    *,
    tuning: TuningSpec | None = None,
    hyperparameters: Hyperparameters = SMALL,
    start: StartPoint | None = None,
) -> str:
    job_id = shop.create_job(
        lines,
        validation_lines=held_out,
        method=method,
        tuning=tuning or LoraTuningSpec(),
        hyperparameters=hyperparameters,
        start=start,
    )
    shop.validate(job_id)
    shop.train()
    job = shop.job(job_id)
    assert job.status is JobStatus.SUCCEEDED, (job.error, [e.message for e in shop.events(job_id)])
    return job_id


def metrics(shop: Shop, job_id: str) -> list[Mapping[str, Any]]:
    return [event.data for event in shop.events(job_id) if event.type == "metrics"]


def test_unsupervised_trains_every_token_packed_and_tells_perplexity(
    shop: Shop, watched: Watched
) -> None:
    packed = Hyperparameters(batch_size=1, n_epochs=1, max_seq_length=128)
    job_id = run(shop, UnsupervisedMethod(), TEXTS, TEXTS[:2], hyperparameters=packed)

    steps = watched.of(ForwardBackward)
    rows = [row for step in steps for row in step.rows]
    assert all(row.weights == (0.0, *(1.0,) * (len(row.tokens) - 1)) for row in rows)
    assert all(sum(len(row.tokens) for row in step.rows) <= 128 for step in steps)
    assert any(len(step.rows) > 1 for step in steps)
    assert all(len({row.group for row in step.rows}) == len(step.rows) for step in steps)
    told = metrics(shop, job_id)
    assert told[0]["full_valid_perplexity"] > told[-1]["full_valid_perplexity"]


@pytest.mark.parametrize(
    ("method", "lines"), [(UnsupervisedMethod(), TEXTS), (SupervisedMethod(), list(GOOD_LINES))]
)
def test_steps_are_filled_up_to_a_budget_of_tokens(
    shop: Shop, watched: Watched, method: Method, lines: list[str]
) -> None:
    budget = 150
    asked = Hyperparameters(n_epochs=2, max_tokens_per_step=budget)
    job_id = run(shop, method, lines, hyperparameters=asked)

    steps = watched.of(ForwardBackward)
    sizes = [[len(row.tokens) for row in step.rows] for step in steps]
    epoch = sizes[: len(sizes) // 2]
    assert all(sum(step) <= budget for step in sizes)
    assert len({len(step) for step in sizes}) > 1, "rows of different lengths"
    assert sum(map(len, epoch)) == sum(map(len, sizes)) / 2
    told = metrics(shop, job_id)
    assert [data["step"] for data in told] == list(range(1, len(steps) + 1))
    assert {data["total_steps"] for data in told} == {len(steps)}


def test_a_row_that_no_step_can_hold_is_an_error(shop: Shop, watched: Watched) -> None:
    long = json.dumps(
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "a" * 99}]}
    )
    asked = Hyperparameters(max_tokens_per_step=64)

    job = shop.validate(shop.create_job([*GOOD_LINES, long], hyperparameters=asked))

    assert watched.commands == []
    assert job.error is not None
    assert "64" in job.error.message


def test_replayed_text_has_its_share_and_stays_out_of_the_ledger(
    shop: Shop, watched: Watched
) -> None:
    replay = shop.upload([json.dumps({"text": f"general text {n} " * 9}) for n in range(40)])
    job_id = run(shop, UnsupervisedMethod(replay_file=replay, replay_ratio=0.5), TEXTS)

    rows = [row for step in watched.of(ForwardBackward) for row in step.rows]
    replayed = sum(len(row.tokens) for row in rows if row.line < 0)
    assert replayed / sum(len(row.tokens) for row in rows) == pytest.approx(0.5, abs=0.1)
    assert [line.line for line in ledger(shop, job_id).lines()] == list(range(1, 13))


def ledger(shop: Shop, job_id: str) -> Ledger:
    return Ledger.from_bytes(shop.resources.store.get_bytes(shop.job(job_id).artefacts["rows"]))


def test_classification_numbers_labels_and_reports_on_them(shop: Shop, watched: Watched) -> None:
    job_id = run(
        shop,
        ClassificationMethod(class_weights="balanced"),
        LABELLED,
        [*LABELLED[:6], json.dumps({"text": "another", "label": "owl"})],
        tuning=HeadTuningSpec(hidden_layers=(8,)),
    )

    head = watched.requests[0].head
    assert head is not None
    assert (head.kind, head.labels) == ("classification", ("fox", "owl", "whale"))
    assert (head.hidden_layers, head.dropout) == ((8,), 0.1)
    first = watched.of(ForwardBackward)[0]
    assert first.loss.label_weights == (1.0, 1.0, 1.0)
    assert all(row.extras.labels in ((0,), (1,), (2,)) for row in first.rows)
    last = metrics(shop, job_id)[-1]
    assert {"full_valid_accuracy", "full_valid_macro_f1", "train_accuracy"} <= last.keys()
    assert len(last["details"]["classification_report"]["confusion_matrix"]) == 3
    assert len(shop.job(job_id).result_files) == 2
    assert all(save.temperature != 1.0 for save in watched.of(Save)), "calibrated"


def test_labels_that_cannot_be_learned_are_named(shop: Shop, watched: Watched) -> None:
    unknown = json.dumps({"text": "animal", "label": "ibex"})
    jobs = [
        shop.create_job(LABELLED, validation_lines=[unknown], method=ClassificationMethod()),
        shop.create_job(
            [json.dumps({"text": f"{n}", "label": "x"}) for n in range(12)],
            method=ClassificationMethod(),
        ),
    ]

    errors = [shop.validate(job).error for job in jobs]

    assert [error and error.code for error in errors] == [
        "invalid_validation_file",
        "invalid_training_file",
    ]
    assert errors[0]
    assert "'ibex'" in errors[0].message
    assert watched.commands == []


@pytest.mark.parametrize("loss", ["dpo", "ipo", "simpo"])
def test_preferences_are_pairs_measured_against_the_start(
    shop: Shop, watched: Watched, loss: Any
) -> None:
    job_id = run(shop, DpoMethod(loss=loss, beta=0.3), PAIRS, [*PAIRS[:4], *PAIRS[:1]])

    step = watched.of(ForwardBackward)[0]
    assert (step.loss.type, step.loss.beta) == (loss, 0.3)
    assert [row.extras.is_chosen for row in step.rows[:2]] == [True, False]
    assert step.rows[0].group == step.rows[1].group
    at_start = [forward for forward in watched.of(Forward) if forward.at_start]
    assert bool(at_start) == (loss != "simpo")
    assert all((row.extras.reference is None) == (loss == "simpo") for row in step.rows)
    last = metrics(shop, job_id)[-1]
    assert {"train_reward_margin", "train_preference_accuracy"} <= last.keys()
    assert last["full_valid_preference_accuracy"] == 1.0


def test_the_reference_is_computed_once_whatever_interrupts(shop: Shop, engine: FakeEngine) -> None:
    at_start = 0

    def fail_once(command: Command) -> ServiceError | None:
        nonlocal at_start
        if isinstance(command, Forward) and command.at_start:
            at_start += 1
        if isinstance(command, OptimStep) and command.step == 5 and not failed:
            failed.append(command)
            return EngineUnavailable("the engine died")
        return None

    failed: list[Command] = []
    engine.fail_commands(fail_once)
    job_id = shop.create_job(PAIRS, method=DpoMethod())
    shop.validate(job_id)
    shop.train()
    shop.end_pauses()
    shop.train()

    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert failed
    assert at_start == 1


def test_a_reward_model_has_a_head_for_one_number(shop: Shop, watched: Watched) -> None:
    job_id = run(shop, RewardModelMethod(), PAIRS, [*PAIRS[:3], *PAIRS[:1]])

    assert watched.requests[0].head is not None
    assert watched.requests[0].head.kind == "reward"
    assert watched.of(ForwardBackward)[0].loss.type == "bradley_terry"
    assert metrics(shop, job_id)[-1]["full_valid_preference_accuracy"] == 1.0


def test_reinforcement_draws_grades_and_learns_from_groups(shop: Shop, watched: Watched) -> None:
    options = ReinforcementMethod(grader=GRADER, samples_per_prompt=4, max_completion_tokens=64)
    job_id = run(shop, options, PROMPTS, PROMPTS[:3] + PROMPTS[:1])

    draws, steps = watched.of(Sample), watched.of(ForwardBackward)
    assert draws[1].n == 4  # the first is the validation's
    assert len(draws[1].prompts) == 4
    assert all(step.loss.type == "policy" for step in steps)
    row = steps[0].rows[0]
    answered = sum(weight > 0 for weight in row.weights)
    assert len(row.extras.old_logprobs) == len(row.extras.advantages) == answered
    last = metrics(shop, job_id)[-1]
    expected = {"train_reward_mean", "kl", "entropy", "sampler_trainer_kl", "valid_reward_mean"}
    assert expected <= last.keys()
    assert last["details"]["samples"][0]["answer"]


def test_a_start_model_goes_to_the_engine_and_its_deletion_fails_the_job(
    shop: Shop, watched: Watched
) -> None:
    first = run(shop, UnsupervisedMethod(), TEXTS)
    model = shop.model(first)
    assert model is not None
    start = StartPoint(model.name, model.delta)
    run(shop, UnsupervisedMethod(), TEXTS, start=start)
    ref = watched.requests[-1].start_from
    assert ref is not None
    assert (ref.key, ref.digest) == (model.delta.key, model.delta.digest)

    gone = StartPoint("ft:gone:acme::12345678", Delta("no/where", "d" * 64))
    job = shop.validate(shop.create_job(TEXTS, method=UnsupervisedMethod(), start=gone))

    assert job.error is not None
    assert (job.error.code, job.error.param) == ("start_model_gone", "model")


def test_patience_publishes_the_best_checkpoint_and_says_so(shop: Shop, engine: FakeEngine) -> None:
    best = 4

    def losing(session: FakeSession) -> float:
        return 1.0 + abs(session.steps - best)

    engine.loss_of = losing
    patient = Hyperparameters(batch_size=4, n_epochs=5, eval_steps=2, early_stopping_patience=2)
    job_id = shop.create_job(GOOD_LINES, validation_lines=OTHER_LINES, hyperparameters=patient)
    shop.validate(job_id)
    shop.train()

    assert shop.steps(job_id)[-1] < 15
    model = shop.model(job_id)
    assert model is not None
    assert f"step-{best:06d}" in model.delta.key
    assert "stopped_early" in shop.codes(job_id)


def test_an_exploding_loss_ends_the_job_with_advice_and_keeps_its_checkpoints(
    shop: Shop, engine: FakeEngine
) -> None:
    engine.loss_of = lambda session: 1.0 if session.steps < 4 else 100.0
    job_id = shop.create_job(GOOD_LINES)
    shop.validate(job_id)
    shop.train()

    job = shop.job(job_id)
    assert job.error is not None
    assert job.error.code == "training_diverged"
    assert "learning_rate_multiplier" in job.error.message
    assert shop.steps(job_id)[-1] == 4, "the step that exploded is the last that was tried"
    assert [checkpoint.step for checkpoint in shop.checkpoints(job_id)] == [3]


def test_a_receipt_says_what_the_weights_depend_on(shop: Shop, watched: Watched) -> None:
    job_id = run(shop, UnsupervisedMethod(), TEXTS)

    receipt = json.loads(shop.resources.store.get_bytes(shop.job(job_id).artefacts["receipt"]))

    assert watched.commands
    assert receipt["seed"] == 7
    assert receipt["hyperparameters"]["batch_size"] == 4
    assert receipt["unmixed"] is True
    assert len(receipt["data"]["training_file"]) == 64
    assert receipt["method"]["type"] == "unsupervised"
    assert receipt["worker"]["code"] == code_version()["code"]


@pytest.mark.parametrize("method", [SupervisedMethod(), ReinforcementMethod(grader=GRADER)])
def test_a_receipt_says_whether_others_shared_the_passes(
    shop: Shop, engine: FakeEngine, method: Method
) -> None:
    def mix_the_third(command: Command) -> None:
        for session in engine.sessions.values():
            session.is_mixed = command.step == 3 if isinstance(command, ForwardBackward) else False

    engine.fail_commands(mix_the_third)
    lines = PROMPTS if isinstance(method, ReinforcementMethod) else list(GOOD_LINES)
    job_id = run(shop, method, lines)

    receipt = json.loads(shop.resources.store.get_bytes(shop.job(job_id).artefacts["receipt"]))

    assert (receipt["unmixed"], receipt["mixed_steps"], receipt["steps"]) == (False, 1, 6)
