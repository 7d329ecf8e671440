"""A job's time and memory under laws that are known."""

from array import array
from dataclasses import replace

import pytest

from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    ReinforcementMethod,
    RewardModelMethod,
)
from service.core.domain.tunings import (
    FullTuningSpec,
    HeadTuningSpec,
    LoraTuningSpec,
    PartialTuningSpec,
)
from service.core.errors import InvalidHyperparameter
from service.core.estimates import (
    SizedExample,
    epochs_work,
    policy_work,
    predict,
    queue_seconds,
    trainable_parameters,
)
from service.core.estimates.predicting import Prediction
from service.core.hyperparameters import Hyperparameters
from tests.service.core.estimates.builders import SHAPES, calibration, chats, example, setting


def seconds(prediction: Prediction) -> float:
    assert prediction.seconds is not None
    return prediction.seconds.value


def test_the_time_of_a_small_job_is_that_of_its_passes_steps_saves_and_session() -> None:
    rows = chats(8)
    job = setting(rows)
    work = epochs_work(rows, [], job)

    a_pass = 0.01 + 2.0 * 0.2 + 0.5 * 200 * job.trained.parameters / 1e10 + 0.3 * 0.04
    a_pass += 0.2 * 4 * 50**2 / 1e6
    share = job.trained.parameters / 1e8
    around = 4 * (0.001 + 0.8 * share) + 2 * (0.01 + 0.5 * share)
    session = 1.0 + 0.5 * 0.04 + share
    assert work.steps == 4
    assert work.trained_tokens == 800
    assert seconds(predict(work, job, calibration())) == pytest.approx(
        4 * a_pass + around + session, rel=1e-6
    )


@pytest.mark.parametrize("tuning", [LoraTuningSpec(), FullTuningSpec(), HeadTuningSpec()])
def test_more_tokens_take_more_time_and_no_less_memory(
    tuning: LoraTuningSpec | FullTuningSpec | HeadTuningSpec,
) -> None:
    method = RewardModelMethod()
    found = []
    for tokens in (10, 20, 40, 60):  # four pairs fit a micro-batch
        rows = [example(tokens, tokens, weighed=tokens) for _ in range(12)]
        job = setting(rows, method=method, tuning=tuning)
        prediction = predict(epochs_work(rows, [], job), job, calibration())
        assert prediction.peak_memory_bytes is not None
        found.append((seconds(prediction), prediction.peak_memory_bytes.value))

    times, memories = zip(*found, strict=True)
    assert list(times) == sorted(set(times))
    assert list(memories) == sorted(memories)


def test_validation_and_a_reference_take_time() -> None:
    rows, held_out = [example(30, 30, weighed=20) for _ in range(12)], chats(20)

    def total(loss: str, *, validated: bool) -> float:
        job = setting(rows, method=DpoMethod(loss=loss))  # type: ignore[arg-type]
        work = epochs_work(rows, held_out if validated else [], job)
        return seconds(predict(work, job, calibration()))

    assert total("simpo", validated=False) < total("dpo", validated=False)
    assert total("dpo", validated=False) < total("dpo", validated=True)


def test_a_beginning_that_rows_share_is_computed_once_unless_dropout_is_each_rows_own() -> None:
    beginning = array("i", range(2, 32))
    rows = [SizedExample((beginning + array("i", [1000 + n] * 20),), 20) for n in range(8)]
    job = setting(rows)

    shared, apart = (
        epochs_work(rows, [], replace(job, has_dropout=has_dropout)).sums["lora"][1]
        for has_dropout in (False, True)
    )

    assert round(apart * 1e3) == 2 * 8 * 50
    assert round(shared * 1e3) == 2 * (2 * 30 + 8 * 20)


def test_a_head_reads_each_row_through_the_base_once() -> None:
    rows = chats(20, weighed=0)
    job = setting(
        rows,
        method=ClassificationMethod(),
        tuning=HeadTuningSpec(),
        asked=Hyperparameters(batch_size=4, n_epochs=10),
        labels=3,
    )

    work = epochs_work(rows, [], job)

    assert work.sums["head"][2] == pytest.approx(20 * 50 / 1e3)
    assert job.trained.parameters == 65 * 3


def test_answers_that_are_not_known_make_no_confident_estimate() -> None:
    rows = chats(12, weighed=0)
    job = setting(rows, method=ReinforcementMethod(grader={}))

    short, long = (policy_work(rows, [], job, answer_share=share) for share in (0.1, 1.0))

    prediction = predict(short, job, calibration())
    assert not prediction.confident
    assert short.steps == long.steps
    assert seconds(prediction) < seconds(predict(long, job, calibration()))


@pytest.mark.parametrize(
    ("spread", "share", "confident"), [(0.01, 0.10, True), (0.2, 0.20, True), (0.6, 0.30, False)]
)
def test_bounds_are_between_ten_and_thirty_percent(
    spread: float, share: float, confident: bool
) -> None:
    rows = chats(8)
    job = setting(rows)

    prediction = predict(epochs_work(rows, [], job), job, calibration(spread=spread))

    for found in (prediction.seconds, prediction.peak_memory_bytes):
        assert found is not None
        assert found.high == pytest.approx(found.value * (1 + share))
        assert found.low == pytest.approx(found.value * (1 - share))
    assert prediction.confident == confident


def test_what_was_never_measured_is_not_made_up() -> None:
    rows = chats(8)
    job = setting(rows)
    known = calibration()
    without = known.model_copy(
        update={"laws": {name: law for name, law in known.laws.items() if name != "lora"}}
    )

    prediction = predict(epochs_work(rows, [], job), job, without)

    assert prediction.seconds is None
    assert not prediction.confident
    assert "lora" in prediction.notes[0]


def test_what_a_tuning_trains_is_counted_by_name() -> None:
    def count(tuning: LoraTuningSpec | FullTuningSpec | PartialTuningSpec) -> int:
        return trainable_parameters(tuning, SHAPES).parameters

    layer = 64 * 64 + 256 * 64
    assert count(FullTuningSpec()) == 1000 * 64 + 4 * layer + 64
    assert count(PartialTuningSpec(last_n_layers=2)) == 2 * layer + 64
    assert count(PartialTuningSpec(trainable=("*.0.self_attn.*",))) == 64 * 64
    overlapping = PartialTuningSpec(last_n_layers=1, trainable=("*.up_proj.weight",))
    assert count(overlapping) == layer + 64 + 3 * 256 * 64
    assert count(LoraTuningSpec(rank=8)) == 4 * 8 * (128 + 320)
    assert count(LoraTuningSpec(rank=8, target_modules=("q_proj",))) == 4 * 8 * 128
    assert trainable_parameters(PartialTuningSpec(last_n_layers=1), SHAPES).depth == 0.25


@pytest.mark.parametrize(
    "tuning",
    [
        LoraTuningSpec(target_modules=("nothing",)),
        PartialTuningSpec(last_n_layers=5),
        PartialTuningSpec(trainable=("nothing",)),
    ],
)
def test_what_the_base_does_not_have_is_refused(
    tuning: LoraTuningSpec | PartialTuningSpec,
) -> None:
    with pytest.raises(InvalidHyperparameter):
        trainable_parameters(tuning, SHAPES)


@pytest.mark.parametrize(
    ("free", "ahead", "remaining", "expected"),
    [(2, 1, [], 0.0), (1, 1, [30.0], 30.0), (0, 0, [50.0, 20.0], 20.0), (0, 1, [50.0, 20.0], 50.0)],
)
def test_a_job_waits_for_the_first_slot_that_nobody_before_it_takes(
    free: int, ahead: int, remaining: list[float], expected: float
) -> None:
    waiting = queue_seconds(free_slots=free, ahead=ahead, remaining=remaining, own=100.0)

    assert waiting == expected
