"""Whatever a body holds, the answer is a proper one."""

from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi
from tests.service.api.test_errors import error_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["auto", "supervised", "lora", "user", "text", "\x00", FAKE_BASE.name])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def bodies(known: dict[str, object], wild: tuple[str, ...]) -> st.SearchStrategy[dict[str, object]]:
    """A good body with some members replaced by anything, and some more."""
    members = st.dictionaries(st.sampled_from(wild) | st.text(max_size=8), JSON, max_size=4)
    return members.map(lambda changes: {**known, **changes})


CREATE = bodies(
    {"model": FAKE_BASE.name, "training_file": "file-none"},
    (
        *("model", "training_file", "validation_file", "suffix", "seed", "metadata", "method"),
        *("integrations", "hyperparameters", "tuning"),
    ),
)
CHAT = bodies(
    {
        "model": FAKE_BASE.name,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 2,
    },
    (
        *("model", "messages", "temperature", "top_p", "n", "seed", "stop", "metadata", "user"),
        *("stream_options", "tools", "response_format", "logit_bias", "max_completion_tokens"),
    ),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | JSON, "content": JSON},
        optional={"name": JSON, "tool_calls": JSON},
    ),
    max_size=3,
).map(lambda messages: {"model": FAKE_BASE.name, "messages": messages, "max_tokens": 2, "n": 1})


@pytest.fixture(scope="module")
def caller(api: RunningApi, engine: FakeEngine, text_codec: TextCodec) -> Iterator[httpx2.Client]:
    """A hypothesis test keeps its fixtures over all its examples."""
    assert engine.bases[0].name == FAKE_BASE.name
    assert text_codec.stop_token_ids
    with api.client(api.new_tenant()) as client:
        yield client


def check(response: httpx2.Response) -> None:
    assert response.status_code < 500
    assert response.status_code != 422
    assert "detail" not in response.json()
    if response.is_error:
        error_of(response)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=CREATE | JSON)
def test_any_body_for_a_job_gets_a_proper_answer(caller: httpx2.Client, body: object) -> None:
    check(caller.post("/v1/fine_tuning/jobs", json=body))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=CHAT | MESSAGES | JSON)
def test_any_body_for_a_chat_gets_a_proper_answer(caller: httpx2.Client, body: object) -> None:
    check(caller.post("/v1/chat/completions", json=body))
