"""Sessions: slots, beats, what they start from and what they save."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from service.core.engine_protocol import (
    CommandFailed,
    ForwardDone,
    HeadTuning,
    LoraTuning,
    PartialTuning,
    Result,
    ResumePoint,
    SaveSnapshotTaken,
    SaveStored,
    Tuning,
)
from service.core.errors import (
    AdapterCorrupt,
    InvalidHyperparameter,
    SessionNotFound,
    StorageUnavailable,
    TooManyRequests,
)
from service.engine.parts import TrainingState
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.polling import poll_until
from tests.service.engine.peft_oracle import make_adapter, peft_model
from tests.service.engine.real_engine import LIMITS, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training.test_training import flat, peft_losses
from tests.service.engine.training_session import Job

ROWS = make_rows((9, 40, 17))
STORED = make_adapter("stored", load_tiny_model(), rank=4, alpha=8, size=0.05)


def test_every_slot_can_be_taken_and_none_twice() -> None:
    with running_engine(limits=replace(LIMITS, training_slots=2)) as engine:
        first, second = Job(engine, "ftjob-1"), Job(engine, "ftjob-2")
        with pytest.raises(TooManyRequests):
            Job(engine, "ftjob-3")
        assert engine.state().free_slots == 0

        engine.close_session(first.session)

        Job(engine, "ftjob-3")
        assert second.finish() == []


def test_a_silent_session_is_closed_and_its_slot_is_free() -> None:
    limits = replace(LIMITS, training_slots=1, session_seconds=0.2)
    with running_engine(limits=limits) as engine:
        silent = Job(engine, "ftjob-silent")
        poll_until(lambda: engine.state().free_slots == 1, "the silent session was closed")
        with pytest.raises(SessionNotFound):
            silent.forward(ROWS)
        Job(engine, "ftjob-next")


def test_a_blocked_poll_keeps_a_session_open() -> None:
    with running_engine(limits=replace(LIMITS, session_seconds=0.1)) as engine:
        job = Job(engine)

        batch = engine.wait_results(job.session, 0, 0.5)

        assert batch.results == ()
        job.forward(ROWS)
        assert len(job.finish()) == 1


def test_closing_a_session_wakes_its_poll() -> None:
    with running_engine() as engine:
        job = Job(engine)
        errors: list[Exception] = []

        def poll() -> None:
            try:
                engine.wait_results(job.session, 0, 60)
            except SessionNotFound as error:
                errors.append(error)

        thread = threading.Thread(target=poll)
        thread.start()
        engine.close_session(job.session)
        thread.join(10)
        assert len(errors) == 1


def test_closing_a_session_in_mid_computation_harms_nobody() -> None:
    with running_engine() as engine:
        leaving, staying = Job(engine, "ftjob-1"), Job(engine, "ftjob-2")
        for job in (leaving, staying):
            for step in range(1, 20):
                job.forward_backward(ROWS, step=step)
                job.optimize(step=step)
        engine.wait_results(leaving.session, 0, 60)
        engine.close_session(leaving.session)
        assert len(staying.finish()) == 38


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_session_starts_from_stored_weights(in_memory: bool, tmp_path: Path) -> None:
    source, sink = FakeAdapterSource(), FakeAdapterSink()
    ref = source.put(STORED, in_memory=in_memory)
    with running_engine(source=source, sink=sink) as engine:
        # Another alpha: what the adapter computes stays the same.
        job = Job(engine, tuning=LoraTuning(rank=4, alpha=16), start_from=ref)
        job.forward(ROWS)
        job.save(0)
        done = job.finish()[0]

    expected = peft_losses(peft_model(load_tiny_model(), STORED, tmp_path), ROWS)
    assert isinstance(done, ForwardDone)
    losses = [row.loss for row in done.rows]
    assert losses == pytest.approx([x.item() for x in expected], rel=1e-4)


@pytest.mark.parametrize(
    ("tuning", "error"),
    [
        (LoraTuning(rank=300), InvalidHyperparameter),
        (PartialTuning(), InvalidHyperparameter),
        (PartialTuning(last_n_layers=3), InvalidHyperparameter),
        (PartialTuning(trainable=("*.q_proj.weight", "*.nothing")), InvalidHyperparameter),
        (HeadTuning(), InvalidHyperparameter),
        (LoraTuning(rank=4, target_modules=("q_proj", "nothing")), InvalidHyperparameter),
    ],
)
def test_a_session_that_cannot_begin_leaves_its_slot(
    tuning: Tuning, error: type[Exception]
) -> None:
    source = FakeAdapterSource()
    ref = source.put(STORED)
    with running_engine(source=source) as engine:
        with pytest.raises(error):
            Job(engine, tuning=tuning, start_from=ref)
        assert engine.state().free_slots == LIMITS.training_slots


def test_weights_that_do_not_come_end_the_opening() -> None:
    source = FakeAdapterSource()
    ref = source.put(STORED, in_memory=False)
    source.failures["stored"] = AdapterCorrupt("adapter stored is not what it was")
    with running_engine(source=source) as engine:
        with pytest.raises(AdapterCorrupt):
            Job(engine, start_from=ref)
        assert engine.state().free_slots == LIMITS.training_slots


def test_an_opening_that_is_repeated_waits_for_the_first() -> None:
    source = FakeAdapterSource()
    ref = source.put(STORED, in_memory=False)
    source.hold()
    jobs: list[Job] = []
    with running_engine(source=source) as engine:
        threads = [
            threading.Thread(target=lambda: jobs.append(Job(engine, start_from=ref)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        poll_until(lambda: source.loads["stored"] == 1, "the weights are being loaded")
        assert engine.state().free_slots == LIMITS.training_slots - 1
        source.release()
        for thread in threads:
            thread.join(10)

    assert len({job.session for job in jobs}) == 1
    assert source.loads["stored"] == 1


DROPPED = LoraTuning(rank=4, alpha=8, dropout=0.1)
"""With dropout, so that a resumed step must draw what the first run of it would have drawn."""
POINT = ResumePoint(key="p/state", digest="d" * 64)


def train_steps(job: Job, first: int, last: int) -> None:
    for step in range(first, last + 1):
        job.forward_backward(ROWS, step=step)
        job.optimize(step=step, learning_rate=0.01 / step, weight_decay=0.1)


@pytest.mark.parametrize("stopped_at", [1, 3, 5])
def test_training_resumed_from_a_state_ends_bit_for_bit_as_if_uninterrupted(
    stopped_at: int,
) -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    with running_engine(sink=sink) as engine:
        job = Job(engine, tuning=DROPPED)
        train_steps(job, 1, stopped_at)
        stopped = job.save(stopped_at, state=True)
        train_steps(job, stopped_at + 1, 5)
        whole = job.save(5)
        job.finish()
    source.states[POINT.key] = TrainingState(*sink.states[stopped])

    with running_engine(sink=sink, source=source) as engine:
        resumed = Job(engine, epoch=2, tuning=DROPPED, resume=POINT)
        train_steps(resumed, stopped_at + 1, 5)
        end = resumed.save(5)
        resumed.finish()

    assert torch.equal(flat(sink.adapters[whole]), flat(sink.adapters[end]))
    assert not torch.equal(flat(sink.adapters[whole]), flat(sink.adapters[stopped])) or (
        stopped_at == 5
    )


@pytest.mark.parametrize(
    ("tuning", "seed"), [(LoraTuning(rank=4, alpha=8), 7), (LoraTuning(rank=8, alpha=8), 8)]
)
def test_a_state_of_another_job_is_refused_and_takes_no_slot(tuning: LoraTuning, seed: int) -> None:
    sink, source = FakeAdapterSink(), FakeAdapterSource()
    with running_engine(sink=sink, source=source) as engine:
        job = Job(engine, tuning=LoraTuning(rank=8, alpha=8), seed=7)
        key = job.save(0, state=True)
        job.finish()
        engine.close_session(job.session)
        source.states[POINT.key] = TrainingState(*sink.states[key])

        with pytest.raises(AdapterCorrupt):
            Job(engine, epoch=2, tuning=tuning, seed=seed, resume=POINT)

        assert engine.state().free_slots == LIMITS.training_slots


def test_a_snapshot_is_what_was_trained_so_far_and_peft_computes_the_same(tmp_path: Path) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        job.forward_backward(ROWS)
        job.optimize()
        job.forward(ROWS)
        early = job.save(1)
        job.forward_backward(ROWS, step=2)
        job.optimize(step=2)
        late = job.save(2)
        measured = [r for r in job.finish() if isinstance(r, ForwardDone)]

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(sink.files[f"{early}adapter/{name}"])
    expected = peft_losses(peft_model(load_tiny_model(), sink.adapters[early], tmp_path), ROWS)
    losses = [row.loss for row in measured[1].rows]
    assert losses == pytest.approx([x.item() for x in expected], rel=1e-4)
    assert not torch.equal(flat(sink.adapters[early]), flat(sink.adapters[late]))


def test_a_saved_state_holds_weights_moments_and_the_number_of_updates() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        for step in (1, 2):
            job.forward_backward(ROWS, step=step)
            job.optimize(step=step)
        key = job.save(2, state=True)
        job.finish()

    tensors, metadata = sink.states[key]
    stored = load(sink.files[f"{key}state/state.safetensors"])
    weights = sink.adapters[key].modules
    assert stored.keys() == tensors.keys()
    assert len(tensors) == 3 * 2 * len(weights)
    for name, pair in weights.items():
        assert torch.equal(stored[f"weights.{name}.b"], pair.b)
        assert float(stored[f"second_moment.{name}.b"].max()) > 0
    assert (metadata["step"], metadata["optimizer_steps"]) == ("2", "2")
    assert metadata["job"] == "ftjob-a"


def test_a_save_that_fails_says_so_and_ends_the_session() -> None:
    sink = FakeAdapterSink()
    sink.failure = StorageUnavailable("the object store does not answer")
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        job.save(1)
        snapshot, failed = job.finish()

    assert isinstance(snapshot, SaveSnapshotTaken)
    assert isinstance(failed, CommandFailed)
    assert failed.error.code == "storage_unavailable"


def test_training_goes_on_while_a_save_is_stored() -> None:
    gate = threading.Event()

    class SlowSink(FakeAdapterSink):
        def _check(self) -> None:
            assert gate.wait(60)

    with running_engine(sink=SlowSink()) as engine:
        job = Job(engine)
        job.save(0)
        job.forward(ROWS)
        results: list[Result] = []
        while len(results) < 2:
            results += engine.wait_results(job.session, len(results), 60).results
        assert [result.kind for result in results] == ["save_snapshot_taken", "forward_done"]
        gate.set()
        assert isinstance(job.finish()[-1], SaveStored)


def test_an_engine_that_closes_finishes_its_saves() -> None:
    class SlowSink(FakeAdapterSink):
        def _check(self) -> None:
            time.sleep(0.2)

    sink = SlowSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        key = job.save(0)
        engine.wait_results(job.session, 0, 60)

    assert key in sink.adapters
