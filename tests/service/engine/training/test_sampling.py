"""`sample` draws with the weights as they are at its place in the order of commands."""

from dataclasses import replace

import pytest
import torch

from service.core.engine_protocol import (
    CommandFailed,
    ForwardDone,
    Result,
    SampledAnswer,
    SampleDone,
    SamplePrompt,
    TrainingRow,
)
from service.engine.parts import EngineLimits
from service.engine.scheduler import Engine
from tests.polling import poll_until
from tests.service.engine.generation_calls import Connection
from tests.service.engine.real_engine import LIMITS, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import Job

PROMPTS = [
    SamplePrompt(line=3, tokens=(5, 6, 7, 8)),
    SamplePrompt(line=9, tokens=(40,)),
    SamplePrompt(line=4, tokens=tuple(range(20, 45))),
]
ROWS = make_rows((30, 12, 20))


def train(job: Job, steps: int = 2) -> None:
    for step in range(1, steps + 1):
        job.forward_backward(ROWS, step=step)
        job.optimize(step=step, learning_rate=0.05)


def answers_of(results: list[Result]) -> list[tuple[SampledAnswer, ...]]:
    return [result.answers for result in results if isinstance(result, SampleDone)]


def tokens_of(answers: tuple[SampledAnswer, ...]) -> dict[tuple[int, int], tuple[int, ...]]:
    return {(answer.line, answer.index): answer.tokens for answer in answers}


@pytest.mark.parametrize(
    ("dtype", "noise"), [(torch.float32, 1e-4), (torch.bfloat16, 0.3)], ids=["fp32", "bf16"]
)
def test_log_probabilities_are_those_of_the_training_forward(
    dtype: torch.dtype, noise: float
) -> None:
    model = load_tiny_model()
    torch.nn.Module.to(model, dtype)
    with running_engine(model=model) as engine:
        job = Job(engine)
        train(job)
        job.sample(PROMPTS, n=2, max_tokens=12, temperature=0.7, top_p=0.9)
        (answers,) = answers_of(job.finish())
        prompt_of = {prompt.line: prompt.tokens for prompt in PROMPTS}
        rows = [
            TrainingRow(
                line=answer.line,
                group=at,
                tokens=prompt_of[answer.line] + answer.tokens,
                weights=(0.0,) * len(prompt_of[answer.line]) + (1.0,) * len(answer.tokens),
            )
            for at, answer in enumerate(answers)
        ]
        job.forward(rows, report=("logprobs",))
        measured = job.finish()[-1]

    assert isinstance(measured, ForwardDone)
    assert [(a.line, a.index) for a in answers] == [(3, 0), (3, 1), (9, 0), (9, 1), (4, 0), (4, 1)]
    for answer, row in zip(answers, measured.rows, strict=True):
        assert len(answer.tokens) == 12
        assert answer.logprobs == pytest.approx(row.logprobs, abs=noise)


def test_draws_depend_on_seed_step_line_and_index_alone() -> None:
    def draw(limits: EngineLimits, prompts: list[SamplePrompt], **key: int) -> list[SampledAnswer]:
        with running_engine(limits=limits) as engine:
            job = Job(engine, seed=key.get("seed", 7))
            train(job, 1)
            job.sample(prompts, n=3, step=key.get("step", 1), max_tokens=6)
            (answers,) = answers_of(job.finish())
            return list(answers)

    whole = tokens_of(tuple(draw(LIMITS, PROMPTS)))
    alone = tokens_of(tuple(draw(replace(LIMITS, max_streams=2), PROMPTS[1:2])))

    assert {key: whole[key] for key in alone} == alone
    assert len(set(whole.values())) == len(whole)
    assert tokens_of(tuple(draw(LIMITS, PROMPTS[1:2], step=2))).items().isdisjoint(alone.items())


def test_the_weights_are_those_of_the_commands_before() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.sample(PROMPTS, max_tokens=8, temperature=0)
        train(job)
        job.sample(PROMPTS, max_tokens=8, temperature=0)
        train(job)
        before, after = answers_of(job.finish())
        connection = Connection(engine)
        for prompt in PROMPTS:
            connection.start(str(prompt.line), prompt.tokens, max_tokens=8)
        served = [tuple(answer.tokens) for answer in connection.wait_all()]

    assert [answer.tokens for answer in before] == served  # a fresh adapter changes nothing
    assert tokens_of(before) != tokens_of(after)


def test_an_answer_ends_with_its_stop_token() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.sample(PROMPTS[:1], max_tokens=8, temperature=0)
        (answers,) = answers_of(job.finish())
        stop = answers[0].tokens[3]
        first = answers[0].tokens.index(stop)
        job.sample(PROMPTS[:1], max_tokens=8, temperature=0, stop_token_ids=(stop,))
        stopped = answers_of(job.finish())[-1][0]

    assert (answers[0].reason, stopped.reason) == ("length", "stop")
    assert stopped.tokens == answers[0].tokens[: first + 1]
    assert len(stopped.logprobs) == len(stopped.tokens)


def test_others_go_on_meanwhile() -> None:
    with running_engine() as engine:
        sampling, training = Job(engine, "ftjob-sampling"), Job(engine, "ftjob-training")
        sampling.sample(PROMPTS[:2], n=8, max_tokens=300)
        train(training)
        answer = Connection(engine).start("chat", [5, 6], max_tokens=4)
        training.finish()
        assert answer.done.wait(60)
        assert not engine.wait_results(sampling.session, 0, 0).results
        sampling.finish()

    assert len(answers_of(sampling.results)[0]) == 16


def open_streams(engine: Engine) -> int:
    return engine.state().active_streams


def test_a_session_that_closes_takes_its_streams_along() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.sample(PROMPTS, n=8, max_tokens=900)
        poll_until(lambda: open_streams(engine) > 0, "sampling begins")
        engine.close_session(job.session)
        poll_until(lambda: open_streams(engine) == 0, "the streams are aborted")


def test_weights_that_are_not_finite_end_their_own_session() -> None:
    with running_engine() as engine:
        wild, calm = Job(engine, "ftjob-wild"), Job(engine, "ftjob-calm")
        wild.forward_backward(ROWS)
        wild.optimize(learning_rate=1e30, max_grad_norm=None)
        wild.sample(PROMPTS, n=2, max_tokens=4)
        calm.sample(PROMPTS, n=2, max_tokens=4)
        failed, done = wild.finish()[-1], calm.finish()[-1]

    assert isinstance(failed, CommandFailed)
    assert failed.error.code == "training_diverged"
    assert isinstance(done, SampleDone)


def test_a_prompt_that_does_not_fit_fails_the_command() -> None:
    with running_engine() as engine:
        job = Job(engine)
        job.sample(PROMPTS, max_tokens=100_000)
        failed = job.finish()[-1]
        assert open_streams(engine) == 0

    assert isinstance(failed, CommandFailed)
    assert failed.error.code == "context_length_exceeded"
