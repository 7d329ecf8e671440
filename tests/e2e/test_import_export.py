"""An adapter trained with plain PEFT comes in, answers, and goes out as a model of its own."""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.core.text import TextAssets, TextCodec
from tests.e2e.peft_oracle import greedy_answers
from tests.e2e.stack import RunningStack, running_stack
from tests.e2e.trained_elsewhere import train_elsewhere
from tunery import Tunery

QUESTION = [{"role": "user", "content": "Which animal is it?"}]
ANSWER = "A striped badger."
MAX_TOKENS = 24


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[RunningStack]:
    """fp32, so that greedy answers can be compared with PEFT's."""
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    environment = {"TUNERY_ENGINE_DTYPE": "float32"}
    with running_stack(data_dir, bases={"tiny": tiny_base}, environment=environment) as running:
        yield running


@pytest.fixture
def tunery(stack: RunningStack) -> Iterator[Tunery]:
    connection = stack.connection
    with (
        httpx2.Client(timeout=60, trust_env=False) as http,
        Tunery(
            base_url=connection["base_url"], api_key=connection["api_key"], http_client=http
        ) as client,
    ):
        yield client


def test_in_from_plain_peft_and_out_to_plain_transformers(
    tunery: Tunery, tiny_base: Path, tmp_path: Path
) -> None:
    codec = TextCodec(TextAssets.from_pretrained_folder(tiny_base))
    prompt = codec.encode_chat_prompt(QUESTION)
    taught = [*codec.encode(ANSWER), codec.stop_token_ids[0]]
    adapter = train_elsewhere(tiny_base, tmp_path / "adapter", prompt, taught)
    archive = tmp_path / "adapter.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for file in adapter.iterdir():
            writer.write(file, f"my-adapter/{file.name}")

    file = tunery.files.upload(archive, purpose="user_data")
    begun = tunery.models.imports.create(base="tiny", file_id=file.id, suffix="badger")
    imported = tunery.models.imports.wait(begun.id, poll_seconds=0.2, timeout_seconds=60)

    assert (imported.status, imported.error) == ("succeeded", None)
    assert imported.result is not None
    assert imported.result.parity["is_parity"]
    served = tunery.chat.completions.create(
        model=imported.model, messages=QUESTION, temperature=0, max_tokens=MAX_TOKENS
    )
    text = served.choices[0].message.content
    (oracle,) = greedy_answers(tiny_base, [(adapter, prompt)], max_tokens=MAX_TOKENS)
    assert text == codec.decode(oracle) == ANSWER

    out = {}
    for format in ("merged", "peft"):
        export = tunery.models.exports.create(imported.model, format=format)
        ended = tunery.models.exports.wait(
            imported.model, export.id, poll_seconds=0.2, timeout_seconds=120
        )
        assert (ended.status, ended.error) == ("succeeded", None)
        assert ended.result is not None
        tunery.files.download(ended.result.file, tmp_path / f"{format}.tar")
        with tarfile.open(tmp_path / f"{format}.tar") as tar:
            tar.extractall(out.setdefault(format, tmp_path / format), filter="data")
        assert ended.result.certificate["logits"]["is_parity"]
    merged, adapted = (
        greedy_answers(base, [(delta, prompt)], max_tokens=MAX_TOKENS)
        for base, delta in ((out["merged"], None), (tiny_base, out["peft"]))
    )
    assert merged == adapted == [oracle]

    assert tunery.models.delete(imported.model).deleted
    assert imported.model not in [model.id for model in tunery.models.list()]
