"""/v1/classify: every kind of head, every form of input, and clear refusals."""

import hashlib
import math
from typing import Any

import httpx2
import openai
import pytest

from service.core.engine_protocol import BaseState, EmbedderState, HeadSpec
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.running_api import RunningApi, Tenant

LABELS = ("billing", "login", "other")
ONE = HeadSpec(kind="classification", labels=LABELS)
MANY = HeadSpec(kind="classification", labels=LABELS, multi_label=True)
REWARD = HeadSpec(kind="reward")
MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def publish(
    api: RunningApi,
    tenant: Tenant,
    engine: FakeEngine,
    head: HeadSpec | None,
    *,
    base: BaseState | EmbedderState = FAKE_BASE,
) -> str:
    """A model of the tenant's with this head."""
    name = f"ft:{base.name}:{tenant.principal.scope.project_id}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    api.publish_model(tenant, name, digest, base=base)
    if head is not None:
        engine.heads[digest] = head
    return name


def test_a_label_comes_with_the_probability_of_each(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client, text_codec: TextCodec
) -> None:
    model = publish(api, tenant, engine, ONE)

    answer = http.post("/v1/classify", json={"model": model, "input": ["a", "ab"]}).json()

    lengths = [len(text_codec.encode_judged(text)) for text in ("a", "ab")]
    powers = [[math.exp(-abs(n - 1 - i)) for i in range(3)] for n in lengths]
    assert (answer["object"], answer["model"]) == ("list", model)
    assert [item["index"] for item in answer["data"]] == [0, 1]
    for item, row in zip(answer["data"], powers, strict=True):
        assert item["label"] == LABELS[row.index(max(row))]
        assert item["probs"] == pytest.approx(
            {label: x / sum(row) for label, x in zip(LABELS, row, strict=True)}
        )
        assert (item["labels"], item["score"]) == (None, None)
    assert answer["usage"] == {"prompt_tokens": sum(lengths), "total_tokens": sum(lengths)}


def test_any_number_of_labels_is_those_that_are_likely(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client
) -> None:
    model = publish(api, tenant, engine, MANY)

    (item,) = http.post("/v1/classify", json={"model": model, "input": "a"}).json()["data"]

    assert item["labels"] == [label for label, prob in item["probs"].items() if prob >= 0.5]
    assert item["labels"]
    assert (item["label"], item["score"]) == (None, None)


def test_a_conversation_is_scored_as_its_template_writes_it(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client, text_codec: TextCodec
) -> None:
    model = publish(api, tenant, engine, REWARD)

    answer = http.post("/v1/classify", json={"model": model, "input": MESSAGES}).json()

    tokens = text_codec.encode_judged(MESSAGES)
    assert text_codec.decode(tokens).endswith("hello\n")
    assert [item["score"] for item in answer["data"]] == [len(tokens)]


def test_conversations_are_scored_together_and_apart_as_the_same(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client
) -> None:
    model = publish(api, tenant, engine, REWARD)
    given = [MESSAGES, MESSAGES[:1], [*MESSAGES, *MESSAGES]]

    def scores(asked: object) -> list[float]:
        answer = http.post("/v1/classify", json={"model": model, "input": asked}).json()
        return [item["score"] for item in answer["data"]]

    assert scores(given) == [score for one in given for score in scores(one)]
    assert len(set(scores(given))) == 3


@pytest.mark.parametrize(
    ("method", "row", "asked"),
    [
        ("classification", {"text": "<|im_end|>?", "label": "l"}, {"input": "<|im_end|>?"}),
        ("classification", {"messages": MESSAGES, "label": "l"}, {"input": MESSAGES}),
    ],
)
def test_a_row_is_judged_by_the_tokens_that_it_is_trained_with(
    api: RunningApi,
    tenant: Tenant,
    engine: FakeEngine,
    http: httpx2.Client,
    method: str,
    row: dict[str, Any],
    asked: dict[str, Any],
) -> None:
    model = publish(api, tenant, engine, REWARD)
    shown = http.post(
        "/v1/fine_tuning/preview",
        json={"model": FAKE_BASE.name, "method": {"type": method}, "rows": [row]},
    ).json()

    answer = http.post("/v1/classify", json={"model": model, **asked})

    assert answer.status_code == 200, answer.text
    trained = shown["rows"][0]["sequences"][0]["token_ids"]
    assert list(engine.classified[-1]) == trained


@pytest.mark.parametrize(
    ("given", "tools"), [("a", [{"type": "function", "function": {"name": "f"}}]), (MESSAGES, [{}])]
)
def test_tools_that_are_no_conversations_are_refused(
    api: RunningApi,
    tenant: Tenant,
    engine: FakeEngine,
    http: httpx2.Client,
    given: object,
    tools: list[object],
) -> None:
    model = publish(api, tenant, engine, REWARD)

    refused = http.post("/v1/classify", json={"model": model, "input": given, "tools": tools})

    assert refused.status_code == 400
    assert "tools" in refused.json()["error"]["message"]


def test_a_head_on_an_embedding_model_reads_its_tokens(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client, text_codec: TextCodec
) -> None:
    model = publish(api, tenant, engine, REWARD, base=FAKE_EMBEDDER)

    scored = http.post("/v1/classify", json={"model": model, "input": "one"}).json()
    refused = http.post("/v1/classify", json={"model": model, "input": MESSAGES})

    assert scored["data"][0]["score"] == len(text_codec.encode("one"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")


def test_models_without_a_head_are_refused(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client
) -> None:
    tuned = publish(api, tenant, engine, None)
    for model in (FAKE_BASE.name, FAKE_EMBEDDER.name, tuned):
        refused = http.post("/v1/classify", json={"model": model, "input": "a"})
        error = refused.json()["error"]
        assert (refused.status_code, error["param"]) == (400, "model")
        assert "no head" in error["message"]
    missing = http.post("/v1/classify", json={"model": "ft:none", "input": "a"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_a_head_on_an_embedding_model_does_not_chat(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, sdk: openai.OpenAI
) -> None:
    model = publish(api, tenant, engine, ONE, base=FAKE_EMBEDDER)

    with pytest.raises(openai.BadRequestError, match="/v1/classify"):
        sdk.chat.completions.create(model=model, messages=MESSAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "invalid_value"),
        ([], "invalid_value"),
        (["a"] * 2049, "invalid_value"),
        ([{"role": "nobody", "content": "a"}], "invalid_value"),
        ([[]], "invalid_value"),
        ([[{"role": "nobody", "content": "a"}]], "invalid_value"),
        ([MESSAGES] * 2049, "invalid_value"),
        ([MESSAGES, "a"], "invalid_value"),
        ("a" * 9000, "context_length_exceeded"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    api: RunningApi,
    tenant: Tenant,
    engine: FakeEngine,
    http: httpx2.Client,
    given: object,
    code: str,
) -> None:
    model = publish(api, tenant, engine, ONE)

    refused = http.post("/v1/classify", json={"model": model, "input": given})

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    assert refused.json()["error"]["param"].startswith("input")


def test_tokens_are_counted(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, http: httpx2.Client
) -> None:
    model = publish(api, tenant, engine, ONE)
    spent = http.post("/v1/classify", json={"model": model, "input": "abc"})

    left = http.get("/v1/models").headers["x-ratelimit-remaining-tokens"]

    assert int(left) == 10_000_000 - spent.json()["usage"]["total_tokens"]
