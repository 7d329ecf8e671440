"""What every engine promises of training over the wire, held against the real client."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.engine_client import TrainingClient
from service.core.engine_protocol import (
    Dpo,
    Forward,
    ForwardDone,
    OptimStepDone,
    PairExtras,
    Sample,
    SampleDone,
    SamplePrompt,
    Sampling,
    Save,
    SaveSnapshotTaken,
    SaveStored,
)
from service.core.errors import (
    ModelNotFound,
    SequenceGap,
    SessionNotFound,
    StaleEpoch,
    Unauthorized,
)
from tests.service.engine.conftest import EngineUnderTest
from tests.service.engine.training_calls import ROW, one_step, open_session, results_of


def test_commands_run_in_order_and_answer_in_order(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)

    training.append(session.session, one_step(1, 1) + one_step(3, 2))

    results = results_of(training, session.session, 4)
    assert [result.seq for result in results] == [1, 2, 3, 4]
    kinds = [type(result) for result in results]
    assert kinds == [ForwardDone, OptimStepDone] * 2


def test_training_lowers_the_loss(training: TrainingClient, engine: EngineUnderTest) -> None:
    session = open_session(training, engine)
    for step in range(1, 6):
        training.append(session.session, one_step(2 * step - 1, step))

    results = results_of(training, session.session, 10)

    losses = [result.rows[0].loss for result in results if isinstance(result, ForwardDone)]
    assert losses[-1] < losses[0]


def test_sampling_answers_prompt_by_prompt_with_a_log_probability_a_token(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    prompts = (SamplePrompt(line=8, tokens=(5, 6, 7)), SamplePrompt(line=2, tokens=(9,)))
    sampling = Sampling(max_tokens=3, stop_token_ids=(4,))
    training.append(
        session.session, [Sample(seq=1, step=0, prompts=prompts, n=2, sampling=sampling)]
    )

    (done,) = results_of(training, session.session, 1)

    assert isinstance(done, SampleDone)
    assert [(a.line, a.index) for a in done.answers] == [(8, 0), (8, 1), (2, 0), (2, 1)]
    for answer in done.answers:
        assert 1 <= len(answer.tokens) <= 3
        assert len(answer.logprobs) == len(answer.tokens)
        assert (answer.reason == "stop") == (answer.tokens[-1] == 4)


def test_a_pair_is_reported_at_its_chosen_row(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    rows = tuple(
        ROW.model_copy(update={"line": line, "extras": extras})
        for line, extras in (
            (1, PairExtras(is_chosen=True, reference=-9.0)),
            (2, PairExtras(is_chosen=False, reference=-9.5)),
        )
    )
    command = Forward(seq=1, step=0, loss=Dpo(), normalizer=1, rows=rows, report=("logprobs",))
    training.append(session.session, [command])

    (done,) = results_of(training, session.session, 1)

    assert isinstance(done, ForwardDone)
    assert [row.weight for row in done.rows] == [1, 0]
    assert {"reward_margin", "chosen_reward", "rejected_reward"} <= set(done.rows[0].metrics)
    assert not done.rows[1].metrics
    assert [len(row.logprobs) for row in done.rows] == [2, 2]


def test_a_repeated_seq_trains_once_and_is_answered_again(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    training.append(session.session, one_step(1, 1))
    first = results_of(training, session.session, 2)

    accepted = training.append(session.session, one_step(1, 1))

    assert accepted.next_seq == 3
    assert results_of(training, session.session, 2) == first
    late = training.wait_results(session.session, after=2, wait_seconds=0.2)
    assert late.results == ()


def test_a_batch_that_overlaps_what_is_known_runs_only_the_rest(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    training.append(session.session, one_step(1, 1))

    training.append(session.session, one_step(1, 1) + one_step(3, 2))

    assert [r.seq for r in results_of(training, session.session, 4)] == [1, 2, 3, 4]


def test_a_gap_is_refused_and_nothing_of_the_batch_runs(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)

    with pytest.raises(SequenceGap):
        training.append(session.session, one_step(2, 1))

    assert open_session(training, engine).next_seq == 1


def test_opening_the_same_epoch_again_finds_the_same_session(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    first = open_session(training, engine)
    training.append(first.session, one_step(1, 1))

    again = open_session(training, engine)

    assert again.session == first.session
    assert again.next_seq == 3


def test_a_higher_epoch_closes_the_lower_one(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    old = open_session(training, engine, epoch=1)

    new = open_session(training, engine, epoch=2)

    assert new.session != old.session
    with pytest.raises(SessionNotFound):
        training.append(old.session, one_step(1, 1))
    with pytest.raises(StaleEpoch):
        open_session(training, engine, epoch=1)


def test_an_unknown_base_is_refused(training: TrainingClient, engine: EngineUnderTest) -> None:
    unknown = EngineUnderTest(engine.url, engine.token, base="no-such-base")

    with pytest.raises(ModelNotFound):
        open_session(training, unknown)


def test_a_closed_session_is_gone_and_closing_twice_is_no_error(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)

    training.close_session(session.session)
    training.close_session(session.session)

    with pytest.raises(SessionNotFound):
        training.wait_results(session.session, after=0, wait_seconds=0)


def test_save_answers_twice_with_files_below_the_name(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    training.append(session.session, one_step(1, 1))

    save = Save(seq=3, name="step-000001", parts=("adapter", "state"))
    training.append(session.session, [save])

    _, _, snapshot, stored = results_of(training, session.session, 4)
    assert isinstance(snapshot, SaveSnapshotTaken)
    assert isinstance(stored, SaveStored)
    names = {file.name for file in stored.files}
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= names
    assert any(name.startswith("state/") for name in names)


def test_a_poll_without_news_comes_back_empty(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)

    assert training.wait_results(session.session, after=0, wait_seconds=0.05).results == ()


def test_waiting_polls_of_many_sessions_leave_room_for_commands(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    sessions = [open_session(training, engine, job=f"ftjob-{i}").session for i in range(8)]
    with ThreadPoolExecutor(max_workers=48) as pool:
        polls = [
            pool.submit(training.wait_results, session, after=0, wait_seconds=30)
            for session in sessions * 6
        ]

        for session in sessions:
            training.append(session, one_step(1, 1))

        assert all(poll.result(timeout=20).results for poll in polls)


def test_a_wrong_token_is_refused(engine: EngineUnderTest) -> None:
    with (
        TrainingClient(engine.url, internal_token="wrong") as training,
        pytest.raises(Unauthorized),
    ):
        training.state()
