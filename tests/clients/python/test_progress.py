import io
import time

import pytest
from rich.console import Console

from tests.clients.python.replies import event, job
from tunery import FineTuningJob, JobEvent
from tunery.progress import JobDisplay, duration


def running(step: int, **changes: object) -> FineTuningJob:
    progress = {"step": step, "total_steps": 50}
    return FineTuningJob.model_validate(job(status="running", progress=progress, **changes))


def display(*, is_terminal: bool) -> tuple[JobDisplay, io.StringIO]:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=is_terminal, width=120)
    return JobDisplay(console), shown


def test_outside_a_terminal_a_line_is_printed_at_every_tenth() -> None:
    plain, shown = display(is_terminal=False)
    with plain:
        for step in range(51):
            plain.on_job(running(step))
            plain.on_job(running(step))
    steps = [line.split("/")[0] for line in shown.getvalue().splitlines()]
    assert steps == [f"step {step}" for step in range(0, 51, 5)]


def test_a_line_says_step_loss_and_time_left() -> None:
    plain, shown = display(is_terminal=False)
    plain.on_event(JobEvent.model_validate(event(1, step=5, train_loss=1.25)))
    plain.on_job(running(5, estimated_finish=int(time.time()) + 100))
    assert shown.getvalue().startswith("step 5/50 · loss 1.250 · 1:")
    assert shown.getvalue().endswith(" left\n")


def test_a_terminal_shows_a_bar_with_the_same_account() -> None:
    bar, shown = display(is_terminal=True)
    with bar:
        bar.on_event(JobEvent.model_validate(event(1, step=25, train_loss=1.25)))
        bar.on_job(running(25))
    assert "━" in shown.getvalue()
    assert "step 25/50 · loss 1.250" in shown.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_messages_are_printed_as_they_are_and_metrics_are_not(is_terminal: bool) -> None:
    shown_by, shown = display(is_terminal=is_terminal)
    with shown_by:
        shown_by.on_event(JobEvent.model_validate(event(1, "line [3] of ft:m:a:x is [bold]odd[/]")))
        shown_by.on_event(JobEvent.model_validate(event(2, "a metric", train_loss=1)))
    assert "line [3] of ft:m:a:x is [bold]odd[/]" in shown.getvalue()
    assert "a metric" not in shown.getvalue()


def test_the_error_that_ends_a_job_is_left_to_the_caller() -> None:
    plain, shown = display(is_terminal=False)
    plain.on_event(JobEvent.model_validate(event(1, "it failed") | {"level": "error"}))
    plain.on_event(JobEvent.model_validate(event(2, "mind this") | {"level": "warn"}))
    assert shown.getvalue() == "mind this\n"


def test_a_job_without_progress_prints_no_line() -> None:
    plain, shown = display(is_terminal=False)
    plain.on_job(FineTuningJob.model_validate(job()))
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0:00"), (9.6, "0:10"), (65, "1:05"), (7265, "2:01:05")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
