"""The engine process from its start to exit code 0."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.engine_client import TrainingClient
from service.core.engine_protocol import LoraTuning, OpenSession, Result, Save, SaveStored
from service.core.errors import ServiceError
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.core.text import TextAssets
from tests.fakes.registry_api import RegistryApi, running_registry
from tests.polling import poll_until
from tests.servers.ports import free_port
from tests.servers.seaweedfs import S3Credentials
from tests.service.engine.engine_process import started_engine
from tests.service.engine.training_calls import one_step, results_of
from tests.tiny_base import build_tiny_base

_TOKEN = "engine-process-token"


@pytest.fixture
def api() -> Iterator[RegistryApi]:
    with running_registry() as registry:
        yield registry


@pytest.fixture
def settings(s3_credentials: S3Credentials, api: RegistryApi, tmp_path: Path) -> Settings:
    port = free_port()
    return Settings.model_validate(
        {
            **s3_credentials.as_settings(),
            "cache_dir": tmp_path / "cache",
            "base_models": f"tiny={build_tiny_base(tmp_path / 'tiny')}",
            "engine_port": port,
            "engine_url": f"http://127.0.0.1:{port}",
            "engine_dtype": "float32",
            "kv_cache_tokens": 4096,
            "internal_token": _TOKEN,
            "api_url": api.url,
        }
    )


def _open_session(training: TrainingClient) -> str:
    opened = training.open_session(
        OpenSession(
            job="ftjob-main",
            epoch=1,
            base="tiny",
            tuning=LoraTuning(rank=4, alpha=8),
            seed=7,
            key_prefix="p/test/jobs/ftjob-main/e1/",
        )
    )
    return opened.session


def test_an_engine_announces_itself_trains_saves_and_ends_in_order(
    settings: Settings, api: RegistryApi, object_store: ObjectStore, tmp_path: Path
) -> None:
    with started_engine(settings, tmp_path) as engine:
        engine.wait_ready()
        poll_until(lambda: bool(api.calls), "the first post arrives")
        state = api.calls[0].state
        assert state is not None
        assert (state.id, state.url, state.pool) == ("engine-0", settings.engine_url, "default")
        assert [base.name for base in state.bases] == ["tiny"]
        text = object_store.get_bytes(state.bases[0].text_key).decode()
        assert TextAssets.from_json(text).chat_template is not None

        with TrainingClient(settings.engine_url, internal_token=_TOKEN) as training:
            session = _open_session(training)
            training.append(session, [*one_step(1, 1), Save(seq=3, name="step-000001")])
            stored = results_of(training, session, 4)[-1]
        assert isinstance(stored, SaveStored)
        for file in stored.files:
            key = f"p/test/jobs/ftjob-main/e1/step-000001/{file.name}"
            assert object_store.size(key) == file.bytes

        assert engine.terminate() == 0
        assert api.methods[-1] == "DELETE"
        assert api.methods.count("DELETE") == 1
        assert not engine.has_left_processes()


def test_a_waiting_poll_does_not_hold_up_the_end(settings: Settings, tmp_path: Path) -> None:
    with started_engine(settings, tmp_path) as engine:
        engine.wait_ready()
        with TrainingClient(settings.engine_url, internal_token=_TOKEN) as training:
            session = _open_session(training)
            poll = _Poll(training, session)
            poll.start()

            assert engine.terminate() == 0
            poll.join(20)

    assert isinstance(poll.outcome, ServiceError)


class _Poll(threading.Thread):
    """A long poll and what became of it."""

    def __init__(self, training: TrainingClient, session: str) -> None:
        super().__init__(daemon=True)
        self._training = training
        self._session = session
        self.outcome: ServiceError | tuple[Result, ...] | None = None

    def run(self) -> None:
        try:
            batch = self._training.wait_results(self._session, after=0, wait_seconds=30)
            self.outcome = batch.results
        except ServiceError as error:
            self.outcome = error


def test_a_signal_before_it_is_ready_ends_it_with_zero(settings: Settings, tmp_path: Path) -> None:
    nowhere = settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with started_engine(nowhere, tmp_path) as engine:
        engine.wait_logged("waiting for the object store")

        assert engine.terminate() == 0


def test_a_taken_port_is_named_before_anything_is_loaded(
    settings: Settings, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.engine_port)),
        started_engine(settings, tmp_path) as engine,
    ):
        assert engine.wait() != 0

        assert f"cannot listen on 127.0.0.1:{settings.engine_port}" in engine.log.read_text()
        assert "loaded tiny" not in engine.log.read_text()
