"""An engine that measures itself, and what its measurements are kept for."""

from pathlib import Path

import pytest

from service.core.domain.tunings import (
    FullTuningSpec,
    HeadTuningSpec,
    LoraTuningSpec,
    PartialTuningSpec,
    TuningSpec,
)
from service.core.engine_protocol import (
    FullTuning,
    HeadSpec,
    HeadTuning,
    LoraTuning,
    OpenSession,
    PartialTuning,
    Tuning,
)
from service.core.estimates import trainable_parameters
from service.engine.adapters import linear_shapes
from service.engine.calibration import CalibrationBook, SelfCalibration, shapes_of
from service.engine.calibration.watching import trained_by
from service.engine.runner import BaseRunner
from service.engine.training.beginning import begin
from service.engine.variants import Variants
from tests.polling import poll_until
from tests.service.engine.real_engine import BASE, as_base, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import Job

MEASURED_ALONE = {"lora", "overlay", "head", "measure", "optimizer", "memory"}


class Clock:
    """Stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def open_book(folder: Path) -> tuple[CalibrationBook, Variants]:
    base = as_base(load_tiny_model())
    shapes = shapes_of(base.model, linear_shapes(base.model), element_bytes=4)
    book = CalibrationBook(base, shapes, micro_batch_tokens=64, folder=folder)
    return book, Variants(BaseRunner(base), 0)


def measure(run: SelfCalibration) -> int:
    """The turns that it takes."""
    turns = 0
    while not run.is_done:
        run.step()
        turns += 1
        assert turns < 500
    return turns


def test_each_kind_of_tuning_is_measured_once_and_kept(tmp_path: Path) -> None:
    book, variants = open_book(tmp_path)
    book.note_resident()
    clock = Clock()
    run = SelfCalibration({BASE: book}, {BASE: variants}, clock=clock)
    clock.now = 10

    measure(run)

    known = book.calibration()
    assert set(known.laws) == MEASURED_ALONE
    assert all(law.observations >= 3 and any(law.coefficients) for law in known.laws.values())
    assert known.resident_bytes > 0
    again, _ = open_book(tmp_path)
    assert again.calibration().laws == known.laws
    assert SelfCalibration({BASE: again}, {BASE: variants}).is_done


def test_a_file_that_is_no_calibration_is_measured_anew(tmp_path: Path) -> None:
    book, _ = open_book(tmp_path)
    book.add("lora", (1.0, 2.0, 3.0, 4.0, 5.0), 1.0)
    book.save()
    (stored,) = tmp_path.iterdir()
    stored.write_text('{"format": 1')

    again, _ = open_book(tmp_path)

    assert not again.is_calibrated
    assert again.calibration().laws == {}


def test_it_waits_until_the_engine_is_quiet_and_gives_way(tmp_path: Path) -> None:
    book, variants = open_book(tmp_path)
    clock = Clock()
    run = SelfCalibration({BASE: book}, {BASE: variants}, clock=clock)

    clock.now = 4
    run.step()
    assert not run.is_running
    clock.now = 6
    run.step()
    assert run.is_running

    run.interrupt()

    assert not run.is_running
    run.step()
    assert not run.is_running
    clock.now = 12
    run.step()
    assert run.is_running


def test_a_job_leaves_measurements_of_all_that_it_did(tmp_path: Path) -> None:
    model = load_tiny_model()
    base = as_base(model)
    shapes = shapes_of(model, linear_shapes(model), element_bytes=4)
    book = CalibrationBook(base, shapes, micro_batch_tokens=64, folder=tmp_path)
    with running_engine(model=model, books={BASE: book}) as engine:
        poll_until(lambda: book.resident, "the idle engine is looked at")
        job = Job(engine)
        rows = make_rows((20, 30, 10))
        job.forward(rows)
        for step in (1, 2):
            job.forward_backward(rows, step=step)
            job.optimize(step=step)
        job.save(2)
        job.finish()
        engine.close_session(job.session)

        def known() -> set[str]:
            return set(engine.state().calibrations[0].laws)

        expected = {"lora", "measure", "optimizer", "save", "session", "memory"}
        poll_until(lambda: known() == expected, "the closed session is taken leave of")
    assert list(tmp_path.iterdir())


def test_jobs_that_share_their_passes_are_not_measured(tmp_path: Path) -> None:
    model = load_tiny_model()
    shapes = shapes_of(model, linear_shapes(model), element_bytes=4)
    book = CalibrationBook(as_base(model), shapes, micro_batch_tokens=64, folder=tmp_path)
    with running_engine(model=model, books={BASE: book}) as engine:
        jobs = [Job(engine, f"ftjob-{n}") for n in range(2)]
        for job in jobs:
            job.forward_backward(make_rows((20, 30)))
            job.optimize()
        for job in jobs:
            job.finish()
            engine.close_session(job.session)
        assert not {"session", "memory"} & set(engine.state().calibrations[0].laws)


@pytest.mark.parametrize(
    ("asked", "computed"),
    [
        (LoraTuningSpec(rank=4), LoraTuning(rank=4)),
        (LoraTuningSpec(rank=4, use_dora=True), LoraTuning(rank=4, use_dora=True)),
        (
            LoraTuningSpec(target_modules=("q_proj", "layers.1.mlp.up_proj")),
            LoraTuning(target_modules=("q_proj", "layers.1.mlp.up_proj")),
        ),
        (FullTuningSpec(), FullTuning()),
        (PartialTuningSpec(last_n_layers=1), PartialTuning(last_n_layers=1)),
        (
            PartialTuningSpec(1, ("*.0.mlp.*", "*norm*")),
            PartialTuning(last_n_layers=1, trainable=("*.0.mlp.*", "*norm*")),
        ),
        (HeadTuningSpec(hidden_layers=(8,)), HeadTuning()),
    ],
)
def test_the_api_counts_what_a_session_trains(
    tmp_path: Path, asked: TuningSpec, computed: Tuning
) -> None:
    book, variants = open_book(tmp_path)
    is_head = isinstance(computed, HeadTuning)
    head = HeadSpec(kind="reward", hidden_layers=(8,)) if is_head else None
    request = OpenSession(
        job="ftjob-a", epoch=1, base=BASE, tuning=computed, head=head, seed=1, key_prefix="p/"
    )

    model = begin(variants, request, None)

    assert trainable_parameters(asked, book.shapes) == trained_by(model, book)
