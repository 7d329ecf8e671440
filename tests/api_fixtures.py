"""Fixtures of every test that talks to the api; conftest.py files name those they need."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import openai
import pytest

from service.core.storage import ObjectStore
from service.core.text import TextAssets, TextCodec
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.fakes.serving import served_fake
from tests.running_api import RunningApi, Tenant, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials
from tests.tiny_base import write_tokenizer


@pytest.fixture(scope="session")
def text_codec(object_store: ObjectStore) -> TextCodec:
    """Text of the fake engine's models, published where an engine would publish it."""
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        assets = TextAssets.from_pretrained_folder(Path(folder))
    for text_key in (FAKE_BASE.text_key, FAKE_EMBEDDER.text_key):
        object_store.put_bytes(text_key, assets.to_json().encode())
    return TextCodec(assets)


@pytest.fixture(scope="session")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    s3_credentials: S3Credentials,
    valkey_url: str,
    object_store: ObjectStore,
) -> Iterator[RunningApi]:
    """One api for all tests, which keep apart by tenant."""
    settings = api_settings(tmp_path_factory.mktemp("api"), s3_credentials, valkey_url)
    object_store.ensure_bucket()
    with running_api(settings) as running:
        yield running


@pytest.fixture(scope="session")
def engine(
    api: RunningApi, text_codec: TextCodec, object_store: ObjectStore
) -> Iterator[FakeEngine]:
    """An engine in the api's registry. Tests that stop or break one start their own."""
    answers = {FAKE_BASE.name: text_codec.encode("I am the base.")}
    fake = FakeEngine(answers=answers, embedders=[FAKE_EMBEDDER], store=object_store)
    with served_fake(fake), reporting(api, fake):
        yield fake


@pytest.fixture
def tenant(api: RunningApi) -> Tenant:
    return api.new_tenant()


@pytest.fixture
def http(api: RunningApi, tenant: Tenant) -> Iterator[httpx2.Client]:
    with api.client(tenant) as client:
        yield client


@pytest.fixture
def sdk(api: RunningApi, tenant: Tenant) -> Iterator[openai.OpenAI]:
    with api.sdk(tenant) as client:
        yield client
