"""The step loop: serving and training side by side, and its end."""

from dataclasses import replace

import pytest
import torch

from service.core.engine_protocol import EngineRole, ForwardDone, StepFrame
from service.core.errors import EngineUnavailable, ModelNotFound
from tests.polling import poll_until
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_adapters import greedy
from tests.service.engine.real_engine import BASE, LIMITS, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import Job

MODEL = load_tiny_model()
ROWS = make_rows((30,) * 16)


def test_a_decode_step_lies_between_micro_batches() -> None:
    limits = replace(LIMITS, micro_batch_tokens=30, streaming_merged_tokens=30)
    with running_engine(limits=limits) as engine:
        connection = Connection(engine)
        stream = connection.start("a", [5, 6, 7], max_tokens=900)
        poll_until(lambda: bool(stream.tokens), "the stream runs")
        job = Job(engine)
        before = len(stream.tokens)
        job.forward_backward(ROWS)
        (done,) = job.finish()
        given = len(stream.tokens) - before
        connection.abort("a")
        connection.wait(stream)

    assert isinstance(done, ForwardDone)
    assert given >= len(ROWS) - 1


def test_training_and_serving_do_not_change_each_other() -> None:
    with running_engine() as engine:
        alone = Job(engine, "ftjob-alone")
        for step in range(1, 6):
            alone.forward_backward(ROWS, step=step)
            alone.optimize(step=step)
        expected = alone.finish()
        connection = Connection(engine)
        for index in range(4):
            connection.start(str(index), [5 + index, 9], max_tokens=60)
        job = Job(engine, "ftjob-beside")
        for step in range(1, 6):
            job.forward_backward(ROWS, step=step)
            job.optimize(step=step)
        results = job.finish()
        answers = connection.wait_all()

    for index, answer in enumerate(answers):
        assert answer.tokens == greedy(MODEL, [5 + index, 9], 60)
    losses, others = (
        [row.loss for r in which if isinstance(r, ForwardDone) for row in r.rows]
        for which in (results, expected)
    )
    assert losses == pytest.approx(others, rel=1e-4)


def test_an_unknown_base_is_named_wherever_it_is_asked_for() -> None:
    with running_engine() as engine:
        connection = Connection(engine)
        answer = connection.wait(connection.start("a", [5], base="no-such-base"))

    assert answer.error_code == ModelNotFound.code


def test_the_state_describes_the_engine() -> None:
    with running_engine() as engine:
        Job(engine)
        state = engine.state()

    (base,) = state.bases
    assert (base.name, base.dtype, base.context_length) == (BASE, "float32", 1024)
    assert base.parameters == sum(p.numel() for p in MODEL.parameters())
    assert state.roles == (EngineRole.TRAIN, EngineRole.SERVE)
    assert state.free_slots == LIMITS.training_slots - 1
    assert state.active_streams == 0


def test_a_broken_step_loop_ends_everything_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = load_tiny_model()
    with running_engine(model=model, may_fail=True) as engine:
        job = Job(engine)
        connection = Connection(engine)
        running = connection.start("a", [5], max_tokens=1000)
        poll_until(lambda: bool(running.tokens), "the stream runs")
        model.get_submodule("model.norm").register_forward_hook(_break)
        connection.wait(running)
        poll_until(lambda: engine.failed is not None, "the failure is known")
        with pytest.raises(EngineUnavailable):
            engine.state()
        with pytest.raises(EngineUnavailable):
            engine.wait_results(job.session, 0, 60)
        with pytest.raises(EngineUnavailable):
            connection.start("b", [5])

    assert running.error_code == EngineUnavailable.code
    assert "the step loop failed" in caplog.text


def test_closing_ends_open_streams() -> None:
    with running_engine() as engine:
        connection = Connection(engine)
        stream = connection.start("a", [5], max_tokens=1000)
        poll_until(lambda: bool(stream.tokens), "the stream runs")

    assert connection.wait(stream).error_code == EngineUnavailable.code


class BrokenConnection(Connection):
    def _receive(self, frame: StepFrame) -> None:
        raise ConnectionError(f"the client has gone, {len(frame.tokens)} streams with it")


def test_a_connection_that_breaks_harms_no_other() -> None:
    with running_engine() as engine:
        broken, fine = BrokenConnection(engine), Connection(engine)
        broken.start("a", [5], max_tokens=30)
        answer = fine.wait(fine.start("a", [5], max_tokens=30))

    assert answer.tokens == greedy(MODEL, [5], 30)


def _break(*_arguments: object) -> torch.Tensor:
    raise RuntimeError("the device is lost")
