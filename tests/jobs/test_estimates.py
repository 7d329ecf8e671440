"""An estimate and the job that follows it: what was counted is what the engine is asked for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from jobs.methods.registry import method_of
from service.api.chat.codecs import CodecCache
from service.api.estimates.requests import EstimateJob
from service.api.estimates.schemas import Estimate
from service.api.estimates.service import EstimateService
from service.core.datasets import minimum_examples
from service.core.domain.access import Principal
from service.core.domain.jobs import JobStatus
from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    Method,
    SupervisedMethod,
    UnsupervisedMethod,
)
from service.core.domain.tunings import HeadTuningSpec, LoraTuningSpec, TuningSpec
from service.core.engine_protocol import Command, Forward, ForwardBackward, OptimStep, Save
from service.core.errors import InvalidTrainingFile
from service.core.estimates import Setting, SizedExample, Trained, epochs_work
from service.core.hyperparameters import Hyperparameters
from service.core.repositories.registry import RegistryRepository
from service.engine.training.micro_batches import cut
from tests.fakes.engine import FakeEngine
from tests.jobs.runner.test_methods import LABELLED, PAIRS, TEXTS
from tests.jobs.shop import BASE, GOOD_LINES, OTHER_LINES, Shop
from tests.service.core.estimates.builders import calibration

ASKED = {"batch_size": 5, "n_epochs": 2, "eval_steps": 2}
MICRO_BATCH = 512
SEED = 7
"""Of the shop's jobs."""


@dataclass
class Asked:
    """Of the engine, so that it can be added up."""

    commands: list[Command] = field(default_factory=list)

    def note(self, command: Command) -> None:
        self.commands.append(command)

    def tokens(self, kind: type[Forward | ForwardBackward]) -> int:
        """That the engine computes for them."""
        commands = [command for command in self.commands if isinstance(command, kind)]
        return sum(
            batch.tokens
            for command in commands
            for batch in cut(command.rows, MICRO_BATCH, share=True)
        )

    def count(self, kind: type[Command]) -> int:
        return sum(isinstance(command, kind) for command in self.commands)


def estimate(shop: Shop, job_id: str, **body: object) -> Estimate:
    job, resources = shop.job(job_id), shop.resources
    service = EstimateService(
        shop.database,
        resources.store,
        CodecCache(resources.store, resources.settings.cache_dir),
        resources.settings,
    )
    request = {
        "model": BASE,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "seed": SEED,
        **body,
    }
    given = EstimateJob.model_validate({k: v for k, v in request.items() if v is not None})
    return service.estimate(Principal(shop.scope, key_id="key-1"), given)


def run(shop: Shop, engine: FakeEngine, job_id: str) -> Asked:
    asked = Asked()
    engine.fail_commands(asked.note)
    shop.validate(job_id)
    shop.train()
    assert shop.status(job_id) is JobStatus.SUCCEEDED, shop.job(job_id).error
    return asked


CASES: list[tuple[Method, TuningSpec, Sequence[str], Sequence[str] | None, dict[str, object]]] = [
    (SupervisedMethod(), LoraTuningSpec(), GOOD_LINES, OTHER_LINES, {}),
    (
        UnsupervisedMethod(),
        LoraTuningSpec(),
        TEXTS,
        None,
        {"method": {"type": "unsupervised"}},
    ),
    (
        DpoMethod(),
        LoraTuningSpec(),
        PAIRS,
        None,
        {"method": {"type": "dpo"}},
    ),
    (
        ClassificationMethod(),
        HeadTuningSpec(),
        LABELLED,
        None,
        {"method": {"type": "classification"}, "tuning": {"type": "head"}},
    ),
]


@pytest.mark.parametrize(
    ("method", "tuning", "lines", "held_out", "body"), CASES, ids=lambda case: str(case)[:24]
)
def test_tokens_and_steps_are_those_of_the_job(
    shop: Shop,
    engine: FakeEngine,
    method: Method,
    tuning: TuningSpec,
    lines: Sequence[str],
    held_out: Sequence[str] | None,
    body: dict[str, object],
) -> None:
    numbers = {n: v for n, v in ASKED.items() if held_out or n != "eval_steps"}
    job_id = shop.create_job(
        lines,
        validation_lines=held_out,
        method=method,
        tuning=tuning,
        hyperparameters=Hyperparameters(**numbers),  # type: ignore[arg-type]
    )
    told = estimate(shop, job_id, hyperparameters=numbers, **body)

    asked = run(shop, engine, job_id)

    job = shop.job(job_id)
    assert job.facts is not None
    assert job.progress is not None
    assert (told.tokens_per_epoch.value, told.rows.examples) == (
        job.facts.tokens,
        job.facts.examples,
    )
    exact = told.trained_tokens
    assert exact.low == exact.value == exact.high == job.trained_tokens
    assert told.steps.low == told.steps.value == told.steps.high == job.progress.total_steps
    assert told.steps.value == asked.count(OptimStep)


def test_steps_filled_by_tokens_are_counted_exactly(shop: Shop, engine: FakeEngine) -> None:
    numbers = {"n_epochs": 2, "max_tokens_per_step": 150}
    job_id = shop.create_job(hyperparameters=Hyperparameters(**numbers))
    told = estimate(shop, job_id, hyperparameters=numbers)

    asked = run(shop, engine, job_id)

    assert told.steps.low == told.steps.value == told.steps.high == asked.count(OptimStep)
    progress = shop.job(job_id).progress
    assert progress is not None
    assert progress.total_steps == asked.count(OptimStep)


def test_the_work_counted_is_what_the_engine_is_asked_for(shop: Shop, engine: FakeEngine) -> None:
    """For one epoch: the others are taken to be like the first, in another order."""
    job_id = shop.create_job(
        PAIRS,
        validation_lines=[line.replace("Which", "What") for line in PAIRS[:7]],
        method=DpoMethod(),
        hyperparameters=Hyperparameters(batch_size=5, n_epochs=1, eval_steps=2),
    )
    asked = run(shop, engine, job_id)

    numbers = shop.job(job_id).resolved
    assert numbers is not None
    training, held_out = _sizes(asked, 12), _sizes_of_first_forward(asked, 12, 7)
    setting = Setting(DpoMethod(), Trained("lora", 1000), numbers, MICRO_BATCH, SEED)
    work = epochs_work(training, held_out, setting)
    assert round(work.sums["lora"][1] * 1e3) == asked.tokens(ForwardBackward)
    assert round(work.sums["measure"][1] * 1e3) == asked.tokens(Forward)
    assert work.sums["optimizer"][0] == asked.count(OptimStep)
    assert work.sums["save"][0] == asked.count(Save)


def _sizes(asked: Asked, pairs: int) -> list[SizedExample]:
    """Of the training file, which the reference is measured on first."""
    rows = next(c for c in asked.commands if isinstance(c, Forward)).rows
    tokens = [row.tokens for row in rows]
    return [SizedExample((tokens[2 * i], tokens[2 * i + 1]), 1) for i in range(pairs)]


def _sizes_of_first_forward(asked: Asked, after: int, pairs: int) -> list[SizedExample]:
    return _sizes(asked, after + pairs)[after:]


def test_what_validation_refuses_has_no_estimate(shop: Shop, engine: FakeEngine) -> None:
    job_id = shop.create_job([*GOOD_LINES, json.dumps({"messages": []})])
    with pytest.raises(InvalidTrainingFile) as refused:
        estimate(shop, job_id)

    shop.validate(job_id)

    error = shop.job(job_id).error
    assert error is not None
    assert error.message == refused.value.message


def test_a_slot_that_is_taken_is_waited_for(shop: Shop, engine: FakeEngine) -> None:
    engine.calibrations = (calibration(),)
    job_id = shop.create_job()
    free = _reported(shop, engine, job_id)
    assert free.queue_seconds is not None
    assert free.queue_seconds.value == 0
    assert free.confident

    shop.validate(job_id)  # it waits for the only slots there are
    engine.set_slots(0)
    taken = _reported(shop, engine, job_id)

    assert taken.queue_seconds is not None
    assert taken.queue_seconds.value > 0


def _reported(shop: Shop, engine: FakeEngine, job_id: str) -> Estimate:
    """With what the engine says now."""
    with shop.database.transaction() as connection:
        RegistryRepository(connection).report(engine.state())
    return estimate(shop, job_id)


def test_least_examples_are_those_of_the_methods(shop: Shop) -> None:
    for method in (SupervisedMethod(), UnsupervisedMethod(), DpoMethod(), ClassificationMethod()):
        job_id = shop.create_job(method=method)
        trained = method_of(shop.job(job_id))
        assert minimum_examples(method.type) == trained.minimum_examples
