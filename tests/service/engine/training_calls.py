"""The few training calls that the contract is spelled with."""

from service.core.engine_client import TrainingClient
from service.core.engine_protocol import (
    ForwardBackward,
    LoraTuning,
    OpenSession,
    OptimStep,
    Result,
    ResultBatch,
    SessionOpened,
    TrainingRow,
)
from tests.service.engine.conftest import EngineUnderTest

ROW = TrainingRow(line=1, group=1, tokens=(3, 4, 5, 6), weights=(0.0, 0.0, 1.0, 1.0))


def open_session(
    training: TrainingClient, engine: EngineUnderTest, *, job: str = "ftjob-a", epoch: int = 1
) -> SessionOpened:
    return training.open_session(
        OpenSession(
            job=job,
            epoch=epoch,
            base=engine.base,
            tuning=LoraTuning(rank=4, alpha=8),
            seed=7,
            key_prefix=f"p/test/jobs/{job}/e{epoch}/",
        )
    )


def one_step(first_seq: int, step: int) -> list[ForwardBackward | OptimStep]:
    return [
        ForwardBackward(seq=first_seq, step=step - 1, normalizer=2.0, rows=(ROW,)),
        OptimStep(seq=first_seq + 1, step=step, learning_rate=1e-3),
    ]


def results_of(training: TrainingClient, session: str, number: int) -> list[Result]:
    """The session's first results, however many polls they take."""
    batch = ResultBatch(results=(), cursor=0)
    results: list[Result] = []
    while len(results) < number:
        batch = training.wait_results(session, after=batch.cursor, wait_seconds=20)
        assert batch.results, "the engine went silent"
        results += batch.results
    return results
