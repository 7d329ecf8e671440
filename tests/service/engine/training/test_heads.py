"""Heads in sessions: trained beside an adapter or alone, on a base or on an embedding model, and
served as they were trained."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from service.core.engine_protocol import (
    Classification,
    ClassifyRequest,
    CommandFailed,
    DeltaRef,
    FinishedStream,
    ForwardDone,
    HeadSpec,
    HeadTuning,
    LabelExtras,
    LoraTuning,
    ModelRef,
    OptimStepDone,
    Policy,
    PolicyExtras,
    TrainingRow,
    Tuning,
)
from service.core.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidHyperparameter,
    InvalidRequest,
    ModelNotFound,
)
from service.core.settings import Settings
from service.engine.embedding import LoadedEmbedder, load_embedder, prepare_embedder
from service.engine.heads import Head
from service.engine.parts import DeltaWeights
from service.engine.scheduler import Engine
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.service.engine.generation_calls import Connection
from tests.service.engine.real_engine import BASE, LIMITS, running_engine
from tests.service.engine.training_session import Job

SPEC = HeadSpec(kind="classification", labels=("even", "odd", "third"), hidden_layers=(8,))
LOSS = Classification()
EMBEDDER = "minilm-l6-v2"


def labelled(lengths: Sequence[int], *, first_line: int = 1) -> list[TrainingRow]:
    """The label is the first token's rest of three."""
    rows = []
    for index, length in enumerate(lengths):
        tokens = tuple(3 + (7 * index + at * at) % 200 for at in range(length))
        extras = LabelExtras(labels=(tokens[0] % 3,))
        rows.append(
            TrainingRow(
                line=first_line + index,
                group=index,
                tokens=tokens,
                weights=(0.0,) * length,
                extras=extras,
            )
        )
    return rows


ROWS = labelled((5, 9, 14, 3, 40, 22, 7, 11))


def train(job: Job, *, steps: int = 3, rows: Sequence[TrainingRow] = ROWS) -> str:
    """Returns where the final weights are saved."""
    for step in range(1, steps + 1):
        job.forward_backward(rows, step=step, loss=LOSS, normalizer=len(rows))
        job.optimize(step=step, learning_rate=0.02)
    return job.save(steps)


def train_alone(
    tuning: Tuning, *, spec: HeadSpec = SPEC, seed: int = 7, small: bool = False
) -> tuple[DeltaWeights, list[float]]:
    """The model after some steps, and the loss before each."""
    sink = FakeAdapterSink()
    size = 16 if small else 4096
    limits = replace(LIMITS, micro_batch_tokens=size, merged_tokens=size)
    with running_engine(sink=sink, limits=limits) as engine:
        job = Job(engine, tuning=tuning, head=spec, seed=seed)
        key = train(job)
        sums = [sum(row.loss for row in done.rows) for done in forwards(job)]
    return sink.deltas[key], sums


def forwards(job: Job) -> list[ForwardDone]:
    """In their order; saves are stored whenever they are."""
    return [result for result in job.finish() if isinstance(result, ForwardDone)]


def flat(delta: DeltaWeights) -> torch.Tensor:
    assert delta.head is not None
    pairs = delta.adapter.modules.values() if delta.adapter else ()
    factors = [factor for pair in pairs for factor in (pair.a, pair.b)]
    return torch.cat([x.flatten() for x in (*delta.head.tensors.values(), *factors)])


@pytest.mark.parametrize(
    "tuning", [LoraTuning(rank=4, alpha=8), HeadTuning()], ids=["lora", "head"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_cutting_changes_nothing_and_training_helps(tuning: Tuning, dropout: float) -> None:
    spec = SPEC.model_copy(update={"dropout": dropout})
    whole, losses = train_alone(tuning, spec=spec)
    pieces, _ = train_alone(tuning, spec=spec, small=True)

    assert losses[0] == pytest.approx(len(ROWS) * math.log(3))  # a fresh head knows nothing
    assert losses[-1] < losses[0]
    torch.testing.assert_close(flat(pieces), flat(whole), rtol=1e-4, atol=1e-4)


def test_a_heads_first_weights_are_a_function_of_the_seed() -> None:
    def drawn(seed: int) -> torch.Tensor:
        head = Head(SPEC, 6)
        tensors = {name: torch.empty(shape) for name, shape in head.shapes.items()}
        head.initialise(tensors, seed)
        assert not tensors["layers.1.weight"].any()
        return tensors["layers.0.weight"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_head_alone_and_one_beside_an_adapter_train_side_by_side() -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as engine:
        jobs = {
            name: Job(engine, name, tuning=tuning, head=SPEC)
            for name, tuning in (
                ("ftjob-head", HeadTuning()),
                ("ftjob-lora", LoraTuning(rank=4, alpha=8)),
            )
        }
        keys = {name: train(job) for name, job in jobs.items()}
        for job in jobs.values():
            job.finish()

    assert sink.deltas[keys["ftjob-head"]].adapter is None
    for name, tuning in (("ftjob-head", HeadTuning()), ("ftjob-lora", LoraTuning(rank=4, alpha=8))):
        alone, _ = train_alone(tuning)
        torch.testing.assert_close(flat(sink.deltas[keys[name]]), flat(alone), rtol=1e-4, atol=1e-4)


def test_reports_say_what_the_head_says() -> None:
    with running_engine() as engine:
        job = Job(engine, tuning=HeadTuning(), head=SPEC)
        train(job)
        job.forward(ROWS, loss=LOSS, report=("scores",))
        done = forwards(job)[-1]

    for row, asked in zip(done.rows, ROWS, strict=True):
        assert isinstance(asked.extras, LabelExtras)
        (label,) = asked.extras.labels
        loss = math.log(sum(map(math.exp, row.scores))) - row.scores[label]
        assert row.loss == pytest.approx(loss, rel=1e-5)
        assert row.correct == (max(row.scores) == row.scores[label])


def test_values_are_reported_and_trained() -> None:
    weights = (0.0, 0.0, 1.0, 1.0)
    extras = PolicyExtras(
        old_logprobs=(-5.0, -5.0), advantages=(0.0, 0.0), returns=(1.0, -1.0), old_values=(0.0, 0.0)
    )
    row = TrainingRow(line=1, group=1, tokens=(5, 6, 7, 8), weights=weights, extras=extras)
    loss = Policy(value_coefficient=1.0)
    with running_engine() as engine:
        job = Job(engine, head=HeadSpec(kind="value"))
        for step in range(1, 30):
            job.forward_backward([row], step=step, loss=loss)
            job.optimize(step=step, learning_rate=0.02)
        job.forward([row], loss=loss, report=("values", "logprobs"))
        done = job.finish()[-1]

    assert isinstance(done, ForwardDone)
    assert done.rows[0].values == pytest.approx((1.0, -1.0), abs=0.2)
    assert len(done.rows[0].logprobs) == 2
    assert done.rows[0].metrics["value_loss"] < 0.05


@pytest.mark.parametrize(
    ("head", "changes", "reason"),
    [
        (None, {"loss": LOSS}, "has no head"),
        (HeadSpec(kind="reward"), {"loss": LOSS}, "'reward'"),
        (SPEC, {"report": ("values",)}, "'value'"),
        (SPEC, {"loss": Classification(label_weights=(1.0,))}, "1 label weights for 3"),
    ],
)
def test_what_a_session_cannot_compute_is_refused(
    head: HeadSpec | None, changes: dict[str, object], reason: str
) -> None:
    with running_engine() as engine:
        job = Job(engine, head=head)
        job.forward(ROWS, **changes)  # type: ignore[arg-type]
        failed = job.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert failed.error.code == "invalid_value"
    assert reason in failed.error.message


def test_a_head_alone_computes_no_language_model_loss() -> None:
    with running_engine() as engine:
        job = Job(engine, tuning=HeadTuning(), head=SPEC)
        job.forward(ROWS)
        failed = job.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert "head alone" in failed.error.message


# Served


@pytest.fixture(scope="module")
def embedder() -> LoadedEmbedder:
    settings = Settings()
    return load_embedder(EMBEDDER, prepare_embedder(settings.embedders[EMBEDDER]), settings)


@pytest.fixture(scope="module")
def source() -> FakeAdapterSource:
    return FakeAdapterSource()


@pytest.fixture(scope="module")
def engine(embedder: LoadedEmbedder, source: FakeAdapterSource) -> Iterator[Engine]:
    with running_engine(embedders=[embedder], source=source) as running:
        yield running


def store(source: FakeAdapterSource, delta: DeltaWeights) -> DeltaRef:
    """As a published model, loaded at its first use."""
    digest = f"{abs(hash(delta.id)):064x}"[:64]
    return source.put(replace(delta, digest=digest), in_memory=False)


def classify(engine: Engine, ref: DeltaRef | None, rows: Sequence[TrainingRow], base: str = BASE):
    request = ClassifyRequest(
        tenant="proj_test",
        model=ModelRef(base=base, delta=ref),
        rows=tuple(row.tokens for row in rows),
    )
    return engine.classify(request)


@pytest.mark.parametrize(
    "tuning", [LoraTuning(rank=4, alpha=8), HeadTuning()], ids=["lora", "head"]
)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_served_head_gives_what_training_measured(
    engine: Engine, source: FakeAdapterSource, tuning: Tuning, pooling: str
) -> None:
    spec = SPEC.model_copy(update={"pooling": pooling})
    sink = FakeAdapterSink()
    with running_engine(sink=sink) as training:
        job = Job(training, f"ftjob-{tuning.type}-{pooling}", tuning=tuning, head=spec)
        key = train(job)
        job.forward(ROWS, loss=LOSS, report=("scores",))
        measured = forwards(job)[-1]
    delta = sink.deltas[key]
    assert delta.head is not None
    cooled = replace(delta, head=replace(delta.head, temperature=2.0))

    answer = classify(engine, store(source, cooled), ROWS)

    assert (answer.kind, answer.labels, answer.multi_label) == (
        "classification",
        spec.labels,
        False,
    )
    for got, row in zip(answer.scores, measured.rows, strict=True):
        assert got == pytest.approx([score / 2 for score in row.scores], rel=1e-4, abs=1e-5)


def test_a_head_on_an_embedding_model_is_trained_and_served(
    engine: Engine, source: FakeAdapterSource, embedder: LoadedEmbedder
) -> None:
    sink = FakeAdapterSink()
    with running_engine(sink=sink, embedders=[embedder]) as training:
        job = Job(training, "ftjob-embedder", base=EMBEDDER, tuning=HeadTuning(), head=SPEC)
        key = train(job, steps=20)
        job.forward(ROWS, loss=LOSS, report=("scores",))
        done = forwards(job)
        norms = [x.grad_norm for x in job.results if isinstance(x, OptimStepDone)]
    losses, measured = [sum(row.loss for row in x.rows) for x in done], done[-1]

    answer = classify(engine, store(source, sink.deltas[key]), ROWS, base=EMBEDDER)

    assert losses[-1] < 0.9 * losses[0]
    assert all(norms)
    for got, row in zip(answer.scores, measured.rows, strict=True):
        assert got == pytest.approx(row.scores, rel=1e-4, abs=1e-5)
    with pytest.raises(InvalidHyperparameter, match="embedding model"):
        Job(engine, "ftjob-no", base=EMBEDDER, head=SPEC)


def test_requests_of_several_models_share_passes_beside_streams(
    engine: Engine, source: FakeAdapterSource
) -> None:
    tunings = [LoraTuning(rank=4, alpha=8), LoraTuning(rank=2, alpha=8), HeadTuning()]
    refs = [
        store(source, replace(train_alone(tuning, seed=at)[0], id=f"beside-{at}"))
        for at, tuning in enumerate(tunings)
    ]
    alone = [classify(engine, ref, ROWS).scores for ref in refs]

    answer = Connection(engine).start("chat", [5, 6, 7], max_tokens=60)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda ref: classify(engine, ref, ROWS).scores, refs * 2))

    assert answer.done.wait(60)
    for got, expected in zip(together, alone * 2, strict=True):
        for ours, theirs in zip(got, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_what_cannot_be_classified_is_refused(engine: Engine, source: FakeAdapterSource) -> None:
    delta, _ = train_alone(HeadTuning())
    ref = store(source, replace(delta, id="good"))
    bare = store(source, replace(delta, id="bare", head=None))
    with pytest.raises(InvalidRequest, match="no head"):
        classify(engine, None, ROWS)
    with pytest.raises(InvalidRequest, match="no head"):
        classify(engine, bare, ROWS)
    with pytest.raises(ModelNotFound):
        classify(engine, ref, ROWS, base="other")
    with pytest.raises(ContextLengthExceeded):
        classify(engine, ref, labelled((2000,)))
    strange = TrainingRow(line=1, group=1, tokens=(10**6,), weights=(0.0,))
    with pytest.raises(InvalidRequest, match="does not know"):
        classify(engine, ref, [strange])
    assert classify(engine, ref, ROWS).scores
    assert not +source.pins


def test_a_model_with_a_head_does_not_chat(engine: Engine, source: FakeAdapterSource) -> None:
    delta, _ = train_alone(HeadTuning())
    connection = Connection(engine)
    answer = connection.start("a", [5, 6], adapter=store(source, replace(delta, id="chatty")))
    connection.wait(answer)

    assert isinstance(answer.finished, FinishedStream)
    assert answer.finished.error is not None
    assert "/v1/classify" in answer.finished.error.message


def test_a_closed_engine_classifies_nothing(source: FakeAdapterSource) -> None:
    with running_engine(source=source) as closed:
        closed.close()
        with pytest.raises(EngineUnavailable):
            classify(closed, None, ROWS)
