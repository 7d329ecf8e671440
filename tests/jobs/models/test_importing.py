"""An adapter that was uploaded becomes a model, or its import fails saying why and leaves
nothing."""

import hashlib

import numpy as np
import pytest

from jobs.reconciler.rounds import Reconciler
from jobs.runner.control import AttemptControl
from service.core.domain.operations import OperationStatus
from service.core.domain.work import WorkKind
from service.core.engine_protocol import Probed
from service.core.errors import AdapterCorrupt
from service.core.manifest import Manifest
from tests.fakes.artefacts import ALIKE
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.jobs.models.adapters import (
    CONFIG,
    LAYER,
    WEIGHTS,
    adapter,
    config,
    gzipped,
    tarred,
    weights,
    zipped,
)
from tests.jobs.models.conftest import Desk

S = OperationStatus


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: gzipped(tarred(files))])
def test_an_archive_becomes_a_model_under_its_manifest(
    desk: Desk, engine: FakeEngine, pack: object
) -> None:
    assert callable(pack)
    ended = desk.imported(file_id=desk.shop.upload_bytes(pack(adapter())))

    assert (ended.status, ended.error, ended.progress) == (S.SUCCEEDED, None, 1.0)
    model = desk.model()
    assert model is not None
    assert (model.base, model.base_digest, model.job_id) == (FAKE_BASE.name, "f" * 64, None)
    store = desk.shop.resources.store
    content = store.get_bytes(f"{model.delta.key}/manifest.json")
    assert hashlib.sha256(content).hexdigest() == model.delta.digest
    listed = {file.name: file.sha256 for file in Manifest.from_bytes(content).files}
    for name, written in adapter().items():
        assert store.get_bytes(f"{model.delta.key}/{name}") == written
        assert listed[name] == hashlib.sha256(written).hexdigest()
    assert ended.result is not None
    assert (ended.result["rank"], ended.result["target_modules"]) == (4, ["q_proj"])
    assert ended.result["warnings"] == []
    assert ended.result["parity"]["is_parity"]
    assert desk.shop.open_work() == []
    assert engine.bases[0].name == model.base


def test_two_files_do_as_well_as_an_archive(desk: Desk, engine: FakeEngine) -> None:
    assert desk.imported(files=desk.upload_all(adapter())).status is S.SUCCEEDED


def test_another_name_of_the_base_is_a_warning(desk: Desk, engine: FakeEngine) -> None:
    files = adapter(base_model_name_or_path="/home/me/some-other-model")

    result = desk.imported(files=desk.upload_all(files)).result

    assert result is not None
    (warning,) = result["warnings"]
    assert "some-other-model" in warning


BAD = {
    "rank of the config": ({CONFIG: config(r=8)}, "factors' shapes"),
    "other width": ({WEIGHTS: weights(width=16)}, "factors' shapes"),
    "a layer that the base lacks": ({WEIGHTS: weights(layer=f"{LAYER}x")}, "no linear layer"),
    "rank beyond what is served": ({CONFIG: config(r=2048)}, "out of bounds"),
    "numbers of 64 bits": ({WEIGHTS: weights(dtype=np.float64)}, "dtype"),
    "truncated weights": ({WEIGHTS: weights()[:-10]}, "bytes"),
    "no safetensors": ({WEIGHTS: b"\x80\x04pickle"}, "header"),
    "empty weights": ({WEIGHTS: b""}, "header"),
    "weights larger than any adapter": ({WEIGHTS: bytes(40 * 1024**2)}, "never needs"),
    "no configuration": ({CONFIG: b"[]"}, "not an object"),
    "an endless configuration": ({CONFIG: b" " * 2 * 1024**2}, "never needs"),
    "a DoRA without magnitudes": ({CONFIG: config(use_dora=True)}, "factors' shapes"),
    "trained biases": ({CONFIG: config(bias="all")}, "bias"),
    "modules saved whole": ({CONFIG: config(modules_to_save=["lm_head"])}, "modules_to_save"),
    "another method": ({CONFIG: config(peft_type="IA3")}, "peft_type"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_fails_and_leaves_nothing(
    desk: Desk, engine: FakeEngine, name: str
) -> None:
    changes, reason = BAD[name]

    ended = desk.imported(files=desk.upload_all({**adapter(), **changes}))

    assert ended.status is S.FAILED
    assert ended.error is not None
    assert reason in ended.error.message
    assert ended.error.code in ("invalid_adapter", "unsupported_parameter")
    assert (desk.model(), desk.stored("imports"), desk.shop.open_work()) == (None, [], [])


def test_an_archive_without_weights_says_what_is_missing(desk: Desk, engine: FakeEngine) -> None:
    files = {CONFIG: config(), "adapter_model.bin": b"\x80"}

    ended = desk.imported(file_id=desk.shop.upload_bytes(zipped(files)))

    assert ended.error is not None
    assert WEIGHTS in ended.error.message
    assert ".bin" in ended.error.message


@pytest.mark.parametrize(
    "probed",
    [
        Probed(is_finite=False, comparison=None),
        Probed(
            is_finite=True,
            comparison=ALIKE.model_copy(update={"median_difference": 0.5, "is_parity": False}),
        ),
    ],
)
def test_what_does_not_compute_is_never_published(
    desk: Desk, engine: FakeEngine, probed: Probed
) -> None:
    engine.artefacts.probed = probed

    ended = desk.imported(files=desk.upload_all(adapter()))

    assert (ended.status, desk.model(), desk.stored("imports")) == (S.FAILED, None, [])


def test_weights_that_the_engine_refuses_fail_the_import(desk: Desk, engine: FakeEngine) -> None:
    import_id = desk.ask_import(files=desk.upload_all(adapter()))
    engine.failures = AnyModel(AdapterCorrupt("a tensor holds numbers that are not finite"))

    desk.work(WorkKind.IMPORT)

    error = desk.operation(import_id).error
    assert error is not None
    assert "not finite" in error.message


class AnyModel(dict[str, AdapterCorrupt]):
    """The same failure for every model but the base."""

    def __init__(self, error: AdapterCorrupt) -> None:
        super().__init__()
        self._error = error

    def get(self, name: object, *_: object) -> AdapterCorrupt | None:  # type: ignore[override]
        return None if name == FAKE_BASE.name else self._error


def test_a_lost_attempt_is_repeated_and_leaves_no_files(desk: Desk, engine: FakeEngine) -> None:
    import_id = desk.ask_import(files=desk.upload_all(adapter()))
    control = DiesAt(3)
    with pytest.raises(Killed):
        desk.work(WorkKind.IMPORT, control)
    assert desk.operation(import_id).status is S.RUNNING
    desk.shop.end_leases()
    Reconciler(desk.shop.database, desk.shop.resources.doorbell).round()
    assert desk.operation(import_id).status is S.QUEUED
    desk.shop.end_pauses()

    desk.work(WorkKind.IMPORT)

    assert desk.operation(import_id).status is S.SUCCEEDED
    assert all("/e2/" in key for key in desk.stored("imports"))


class Killed(BaseException):
    """Nothing of the worker runs any more."""


class DiesAt(AttemptControl):
    """At the n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def check(self) -> None:
        self._looks -= 1
        if self._looks == 0:
            raise Killed


def test_without_an_engine_the_import_waits(desk: Desk) -> None:
    ended = desk.imported(files=desk.upload_all(adapter()))

    assert (ended.status, ended.error) == (S.QUEUED, None)
    assert len(desk.shop.open_work()) == 1


def test_an_import_cancelled_in_the_middle_publishes_nothing(
    desk: Desk, engine: FakeEngine
) -> None:
    import_id = desk.ask_import(files=desk.upload_all(adapter()))

    desk.work(WorkKind.IMPORT, CancelsAt(2, lambda: desk.cancel(import_id, WorkKind.IMPORT)))

    assert desk.operation(import_id).status is S.CANCELLED
    assert (desk.model(), desk.stored("imports")) == (None, [])


class CancelsAt(DiesAt):
    """Calls something at the n-th look instead."""

    def __init__(self, looks: int, cancel: object) -> None:
        super().__init__(looks)
        self._cancel = cancel

    def check(self) -> None:
        try:
            super().check()
        except Killed:
            assert callable(self._cancel)
            self._cancel()
