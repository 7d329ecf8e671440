"""Embeddings, through the official SDK."""

import base64
from array import array

import openai
import pytest

from service.core.text import TextCodec
from tests.fakes.engine import FAKE_EMBEDDER, FakeEngine

MODEL = FAKE_EMBEDDER.name


@pytest.fixture(autouse=True)
def _embedder_is_known(engine: FakeEngine) -> None:
    assert engine.embedders == (FAKE_EMBEDDER,)


def expected(tokens: list[int]) -> list[float]:
    """As the fake engine makes it up."""
    return [float(value) for value in [len(tokens), *tokens, *[0] * 8][:8]]


@pytest.mark.parametrize("form", ["string", "strings", "tokens", "token arrays"])
def test_every_form_of_input_gets_its_vectors(
    sdk: openai.OpenAI, text_codec: TextCodec, form: str
) -> None:
    rows = ["one", "and two"] if form in ("strings", "token arrays") else ["one"]
    tokens = [text_codec.encode(row) for row in rows]
    value = {"string": "one", "strings": rows, "tokens": tokens[0], "token arrays": tokens}[form]

    answer = sdk.embeddings.create(model=MODEL, input=value)  # type: ignore[arg-type]

    assert [item.embedding for item in answer.data] == [expected(row) for row in tokens]
    assert [item.index for item in answer.data] == list(range(len(rows)))
    assert (answer.object, answer.model) == ("list", MODEL)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(map(len, tokens))


def test_base64_and_float_are_the_same_numbers(sdk: openai.OpenAI) -> None:
    packed = sdk.with_raw_response.embeddings.create(
        model=MODEL, input="x", encoding_format="base64"
    )
    plain = sdk.embeddings.create(model=MODEL, input="x", encoding_format="float")

    (item,) = packed.http_response.json()["data"]
    assert array("f", base64.b64decode(item["embedding"])).tolist() == plain.data[0].embedding


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"dimensions": 4}, "unsupported_parameter", "dimensions"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["x"] * 2049}, "invalid_value", "input"),
        ({"input": "x" * 65}, "context_length_exceeded", "input"),
        ({"input": [100_000]}, "invalid_value", "input"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(
    sdk: openai.OpenAI, change: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(**{"model": MODEL, "input": "x", **change})  # type: ignore[arg-type]

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("model", ["nothing", "smollm2-135m-instruct"])
def test_a_model_that_embeds_nothing_is_not_found(sdk: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.embeddings.create(model=model, input="x")

    assert caught.value.code == "model_not_found"


def test_an_embedding_model_is_described_and_cannot_be_deleted(sdk: openai.OpenAI) -> None:
    assert sdk.models.retrieve(MODEL).owned_by == "system"
    with pytest.raises(openai.PermissionDeniedError):
        sdk.models.delete(MODEL)
