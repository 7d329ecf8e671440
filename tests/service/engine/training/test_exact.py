"""A job that asks to be exact shares no pass, and ends with the bytes of a run without company."""

from collections.abc import Sequence

import torch

from service.core.engine_protocol import ForwardDone, TrainingRow
from tests.fakes.adapters import FakeAdapterSink
from tests.service.engine.real_engine import running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training.test_training import flat
from tests.service.engine.training_session import Job

STEPS = 12
ROWS = make_rows((20, 30))
OTHERS = make_rows((25, 15), seed=1)


def submit(job: Job, rows: Sequence[TrainingRow]) -> str:
    for step in range(1, STEPS + 1):
        job.forward_backward(rows, step=step)
        job.optimize(step=step)
    return job.save(STEPS)


def mixed_steps(job: Job) -> int:
    return sum(r.is_mixed for r in job.finish() if isinstance(r, ForwardDone))


def trained_alone() -> torch.Tensor:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        job = Job(engine)
        key = submit(job, ROWS)
        assert mixed_steps(job) == 0, "nobody is there to be mixed with"
    return flat(sink.adapters[key])


def test_an_exact_job_is_mixed_with_nobody_while_others_are() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        exact = Job(engine, "ftjob-exact", exact=True)
        others = [Job(engine, f"ftjob-{i}", seed=i) for i in range(2)]
        for job in others:
            submit(job, OTHERS)
        key = submit(exact, ROWS)

        assert mixed_steps(exact) == 0
        assert all(mixed_steps(job) > 0 for job in others)

    assert torch.equal(flat(sink.adapters[key]), trained_alone())
