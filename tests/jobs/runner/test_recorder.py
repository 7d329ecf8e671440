"""Metrics reach the database soon, in few writes, and in order."""

import math

import pytest

from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt, claim_best
from jobs.runner.control import AttemptControl
from jobs.runner.recorder import Recorder, metrics_event, report_of
from jobs.runner.results_file import results_csv
from service.core.domain.work import WorkKind
from service.core.errors import StaleEpoch
from tests.jobs.shop import Shop

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def attempt(shop: Shop) -> Attempt:
    shop.validate(shop.create_job())
    claim = claim_best(shop.resources, WorkKind.TRAINING)
    assert claim is not None
    return Attempt(shop.resources, claim, shop.scope, AttemptControl())


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def report(step: int, *, loss: float = 1.5) -> StepReport:
    return StepReport(step, 10, step / 5, {"train_loss": loss}, tokens=7)


def test_the_first_report_is_written_at_once_and_others_at_most_once_a_second(
    shop: Shop, attempt: Attempt
) -> None:
    clock = Clock()
    recorder, job_id = Recorder(attempt, clock=clock), attempt.claim.subject_id

    recorder.report(report(1))
    assert shop.steps(job_id) == [1]
    for step in (2, 3):
        clock.now += 0.4
        recorder.report(report(step))
    assert shop.steps(job_id) == [1]
    clock.now += 0.4
    recorder.report(report(4))
    assert shop.steps(job_id) == [1, 2, 3, 4]
    recorder.report(report(5))
    recorder.flush()
    assert shop.steps(job_id) == [1, 2, 3, 4, 5]


def test_the_estimate_follows_the_pace(shop: Shop, attempt: Attempt) -> None:
    clock = Clock()
    recorder, job_id = Recorder(attempt, clock=clock), attempt.claim.subject_id

    recorder.report(report(1))
    assert shop.job(job_id).estimated_finish is None
    clock.now += 10
    recorder.report(report(2))

    job = shop.job(job_id)
    assert job.estimated_finish is not None
    assert job.progress is not None
    assert (job.progress.step, job.progress.total_steps) == (2, 10)
    assert 60 < job.estimated_finish - job.created_at < 200  # 8 steps at 10 s each, from now


def test_a_stale_attempt_records_nothing(shop: Shop, attempt: Attempt) -> None:
    recorder = Recorder(attempt)
    shop.cancel(attempt.claim.subject_id)

    with pytest.raises(StaleEpoch):
        recorder.report(report(1))

    assert shop.steps(attempt.claim.subject_id) == []


def test_an_event_names_its_losses_and_leaves_out_what_is_not_finite() -> None:
    report = StepReport(3, 40, 0.5, {"train_loss": 1.234, "valid_loss": math.inf}, tokens=7)
    event = metrics_event(report)

    assert event.message == "Step 3/40: training loss=1.23"
    expected = {"step": 3, "total_steps": 40, "epoch": 0.5, "tokens": 7, "train_loss": 1.234}
    assert event.data == expected
    assert report_of(event.data) == StepReport(3, 40, 0.5, {"train_loss": 1.234}, tokens=7)


def test_a_step_that_was_told_before_is_not_told_again(shop: Shop, attempt: Attempt) -> None:
    earlier = Recorder(attempt)
    for step in (1, 2, 3):
        earlier.report(report(step))
    earlier.flush()

    again = Recorder(attempt, written=earlier.reports, after_step=1)
    for step in (2, 3, 4):
        again.report(report(step))
    again.flush()

    assert shop.steps(attempt.claim.subject_id) == [1, 2, 3, 4]
    assert [told.step for told in again.reports] == [1, 2, 3, 4]


def test_the_result_file_leaves_out_what_was_not_measured() -> None:
    reports = [
        StepReport(0, 2, 0.0, {"full_valid_loss": 3.0}),
        StepReport(1, 2, 0.5, {"train_loss": 2.0, "train_mean_token_accuracy": 0.25}),
        StepReport(2, 2, 1.0, {"train_loss": 1.0, "valid_loss": 1.5}),
    ]

    assert results_csv(reports).decode().splitlines() == [
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,full_valid_loss",
        "0,,,,,3",
        "1,2,0.25,,,",
        "2,1,,1.5,,",
    ]
