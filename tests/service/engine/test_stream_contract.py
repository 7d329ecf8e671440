"""What every engine promises of streams over the wire, held against the real client."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest

from service.core.engine_client import GenerationClient, TrainingClient
from service.core.engine_protocol import FinishedStream, ModelRef, Sampling, StreamTokens
from service.core.errors import EngineUnavailable, ModelNotFound
from tests.polling import poll_until
from tests.service.engine.conftest import EngineUnderTest
from tests.service.engine.training_calls import one_step, open_session, results_of


async def collect(
    engine: EngineUnderTest, *, max_tokens: int, token: str | None = None, base: str | None = None
) -> tuple[list[int], FinishedStream]:
    """All tokens of one greedy stream and how it ended."""
    client = GenerationClient(internal_token=token or engine.token)
    try:
        return await stream_to_end(client, engine, max_tokens=max_tokens, base=base)
    finally:
        await client.aclose()


async def stream_to_end(
    client: GenerationClient, engine: EngineUnderTest, *, max_tokens: int, base: str | None = None
) -> tuple[list[int], FinishedStream]:
    tokens: list[int] = []
    async for event in start(client, engine, max_tokens=max_tokens, base=base):
        if isinstance(event, FinishedStream):
            return tokens, event
        tokens += event.tokens
    raise AssertionError("the stream ended without saying why")


def start(
    client: GenerationClient,
    engine: EngineUnderTest,
    *,
    max_tokens: int,
    base: str | None = None,
) -> AsyncGenerator[StreamTokens | FinishedStream, None]:
    return client.generate(
        engine.url,
        tenant="proj_test",
        model=ModelRef(base=base or engine.base),
        tokens=(5, 6, 7),
        sampling=Sampling(max_tokens=max_tokens, temperature=0),
    )


def test_a_greedy_stream_repeats_itself_and_ends_at_its_length(engine: EngineUnderTest) -> None:
    first, finished = asyncio.run(collect(engine, max_tokens=6))
    second, _ = asyncio.run(collect(engine, max_tokens=6))

    assert first == second
    assert len(first) == 6
    assert finished.reason == "length"


def test_streams_share_a_connection_without_mixing(engine: EngineUnderTest) -> None:
    async def many() -> list[tuple[list[int], FinishedStream]]:
        client = GenerationClient(internal_token=engine.token)
        try:
            lengths = range(1, 17)
            return await asyncio.gather(
                *(stream_to_end(client, engine, max_tokens=n) for n in lengths)
            )
        finally:
            await client.aclose()

    answers = asyncio.run(many())

    longest = answers[-1][0]
    assert [tokens for tokens, _ in answers] == [longest[:n] for n in range(1, 17)]


def test_an_unknown_base_ends_the_stream_with_its_error(engine: EngineUnderTest) -> None:
    with pytest.raises(ModelNotFound):
        asyncio.run(collect(engine, max_tokens=2, base="no-such-base"))


def test_leaving_a_stream_aborts_it_in_the_engine(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    async def read_one_token_and_leave() -> None:
        client = GenerationClient(internal_token=engine.token)
        try:
            async with aclosing(start(client, engine, max_tokens=engine.long_answer)) as events:
                async for event in events:
                    assert isinstance(event, StreamTokens)
                    break
            await asyncio.to_thread(
                poll_until, lambda: training.state().active_streams == 0, "the stream was aborted"
            )
        finally:
            await client.aclose()

    asyncio.run(read_one_token_and_leave())


def test_a_lost_client_frees_its_streams(training: TrainingClient, engine: EngineUnderTest) -> None:
    async def read_one_token_and_disconnect() -> None:
        client = GenerationClient(internal_token=engine.token)
        events = start(client, engine, max_tokens=engine.long_answer)
        await anext(events)
        await client.aclose()
        with pytest.raises(EngineUnavailable):
            async for _ in events:
                pass

    asyncio.run(read_one_token_and_disconnect())

    poll_until(lambda: training.state().active_streams == 0, "the streams were freed")


def test_training_goes_on_while_a_stream_is_open(
    training: TrainingClient, engine: EngineUnderTest
) -> None:
    session = open_session(training, engine)
    done = threading.Event()

    async def stream_until_trained() -> None:
        client = GenerationClient(internal_token=engine.token)
        try:
            async with aclosing(start(client, engine, max_tokens=engine.long_answer)) as events:
                async for _ in events:
                    if done.is_set():
                        return
            raise AssertionError("the stream ended before the training")
        finally:
            await client.aclose()

    def train() -> None:
        training.append(session.session, one_step(1, 1))
        results_of(training, session.session, 2)
        done.set()

    with ThreadPoolExecutor() as pool:
        trained = pool.submit(train)
        asyncio.run(stream_until_trained())
        trained.result()


def test_a_wrong_token_opens_no_connection(engine: EngineUnderTest) -> None:
    with pytest.raises(EngineUnavailable):
        asyncio.run(collect(engine, max_tokens=1, token="wrong"))
