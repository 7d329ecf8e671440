"""An export becomes a file with its certificate, or fails and no file appears."""

import threading

import pytest

from jobs.runner.control import AttemptControl
from service.core.domain.files import FilePurpose
from service.core.domain.models import TunedModel
from service.core.domain.operations import OperationStatus
from service.core.domain.work import WorkKind
from service.core.engine_protocol import ErrorBody, ExportState
from service.core.repositories.files import FileRepository
from tests.fakes.engine import FakeEngine
from tests.jobs.models.adapters import adapter
from tests.jobs.models.conftest import Desk
from tests.polling import poll_until

S = OperationStatus


@pytest.fixture
def model(desk: Desk, engine: FakeEngine) -> TunedModel:
    assert desk.imported(files=desk.upload_all(adapter())).status is S.SUCCEEDED
    model = desk.model()
    assert model is not None
    return model


def files_of(desk: Desk) -> list[str]:
    """Names of the project's result files."""
    with desk.shop.database.snapshot() as connection:
        page = FileRepository(connection, desk.shop.scope).list(
            purpose=FilePurpose.FINE_TUNE_RESULTS, after=None, limit=100, ascending=True
        )
    return [file.filename for file in page.items]


@pytest.mark.parametrize("format", ["peft", "merged", "gguf"])
def test_an_export_is_a_file_of_the_pinned_model(
    desk: Desk, engine: FakeEngine, model: TunedModel, format: str
) -> None:
    export_id = desk.ask_export(model, format)

    desk.work(WorkKind.EXPORT)

    ended = desk.operation(export_id)
    assert (ended.status, ended.error, desk.shop.open_work()) == (S.SUCCEEDED, None, [])
    assert ended.result is not None
    assert ended.result["certificate"] == {"proven": True}
    with desk.shop.database.snapshot() as connection:
        file = FileRepository(connection, desk.shop.scope).get(ended.result["file"])
    assert file.filename == f"ft-base-acme--imported-model.{format}"
    assert desk.shop.resources.store.get_bytes(file.key) == format.encode()
    (request,) = engine.artefacts.requests
    assert request.model.delta is not None
    assert request.model.delta.digest == model.delta.digest
    assert all(dialogue.messages and dialogue.tokens for dialogue in request.dialogues)


def test_an_export_that_is_not_proven_leaves_no_file(
    desk: Desk, engine: FakeEngine, model: TunedModel
) -> None:
    engine.artefacts.hold = True
    export_id = desk.ask_export(model, "merged")
    worker = threading.Thread(target=desk.work, args=(WorkKind.EXPORT,))
    worker.start()
    poll_until(lambda: bool(engine.artefacts.exports), "the export has begun")
    (id,) = engine.artefacts.exports
    refusal = ErrorBody(code="export_refused", message="its logits differ by 0.4")
    engine.artefacts.exports[id] = ExportState(id=id, status="failed", error=refusal)
    worker.join(30)

    ended = desk.operation(export_id)
    assert ended.status is S.FAILED
    assert ended.error is not None
    assert (ended.error.code, ended.result) == ("export_refused", None)
    assert (files_of(desk), desk.stored("exports")) == ([], [])


def test_progress_shows_and_a_cancelled_export_ends_in_the_engine_too(
    desk: Desk, engine: FakeEngine, model: TunedModel
) -> None:
    engine.artefacts.hold = True
    export_id = desk.ask_export(model, "merged")
    worker = threading.Thread(target=desk.work, args=(WorkKind.EXPORT,))
    worker.start()
    poll_until(lambda: desk.operation(export_id).progress == 0.5, "progress shows")

    desk.cancel(export_id, WorkKind.EXPORT)
    worker.join(30)

    assert not worker.is_alive()
    assert (engine.artefacts.exports, files_of(desk)) == ({}, [])


def test_a_drained_export_waits_for_another_worker(
    desk: Desk, engine: FakeEngine, model: TunedModel
) -> None:
    engine.artefacts.hold = True
    export_id = desk.ask_export(model, "peft")
    control = AttemptControl()
    control.drain()

    desk.work(WorkKind.EXPORT, control)
    assert desk.operation(export_id).status is S.QUEUED
    engine.artefacts.hold = False
    desk.work(WorkKind.EXPORT)

    assert desk.operation(export_id).status is S.SUCCEEDED


def test_an_engine_that_forgets_an_export_costs_an_attempt(
    desk: Desk, engine: FakeEngine, model: TunedModel
) -> None:
    engine.artefacts.hold = True
    export_id = desk.ask_export(model, "peft")
    worker = threading.Thread(target=desk.work, args=(WorkKind.EXPORT,))
    worker.start()
    poll_until(lambda: bool(engine.artefacts.exports), "the export has begun")
    engine.artefacts.exports.clear()
    worker.join(30)
    assert desk.operation(export_id).status is S.QUEUED

    engine.artefacts.hold = False
    desk.shop.end_pauses()
    desk.work(WorkKind.EXPORT)

    assert desk.operation(export_id).status is S.SUCCEEDED
