"""An export is loaded back by plain transformers and is the served model, or no file is made."""

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.core.engine_protocol import DeltaRef, ExportFormat, ExportRequest, ExportState
from service.core.errors import ExportLost, ExportRefused
from service.core.storage import ObjectNotFound, ObjectStore
from service.engine.export import Exports
from service.engine.export.gguf_file import write_gguf
from service.engine.export.merged_folder import write_merged
from service.engine.export.merging import LoraMerge, Merge
from service.engine.export.producing import WRITERS, Write, produce
from service.engine.export.task import TaskFolder, write_task
from service.engine.parts import AdapterWeights, EngineIdentity, LoadedBase
from service.engine.runner import BaseRunner
from service.engine.scheduler import Engine
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.polling import poll_until
from tests.service.engine.export.exportable import (
    build_exportable_base,
    load,
    reference_of,
    request_of,
)
from tests.service.engine.peft_oracle import greedy, make_adapter, peft_model
from tests.service.engine.real_engine import LIMITS

PEFT, MERGED, GGUF = ExportFormat
NOBODY = DeltaRef(id="a", key="a", digest="a" * 64)


@dataclass(frozen=True)
class Served:
    """A base with an adapter, and a place for the exports of a test."""

    folder: Path
    base: LoadedBase
    runner: BaseRunner
    weights: AdapterWeights
    place: Path

    def task(self, format: ExportFormat, *, weights: AdapterWeights | None = None) -> TaskFolder:
        request = request_of(self.base, NOBODY, format)
        rows = [dialogue.tokens for dialogue in request.dialogues]
        reference = reference_of(self.runner, self.weights, rows)
        if weights is not None:  # the file holds other weights than were served
            reference = replace(reference, weights=weights)
        self.place.mkdir()
        return write_task(self.place, request, self.base, reference)

    def oracle(self, folder: Path) -> PeftModel:
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        return peft_model(model, self.weights, folder)


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LoadedBase, BaseRunner]:
    folder = build_exportable_base(tmp_path_factory.mktemp("bases") / "tiny")
    base = load(folder)
    return folder, base, BaseRunner(base)


@pytest.fixture
def served(resident: tuple[Path, LoadedBase, BaseRunner], tmp_path: Path) -> Served:
    folder, base, runner = resident
    weights = make_adapter("loud", base.model, rank=8, alpha=16, size=0.1)
    return Served(folder, base, runner, weights, tmp_path / "task")


def make(task: TaskFolder, writers: Mapping[ExportFormat, Write] = WRITERS) -> dict[str, Any]:
    """In this process; returns the certificate."""
    produce(task, lambda _share: None, writers)
    certificate: dict[str, Any] = json.loads(task.certificate.read_text())
    return certificate


def unpacked(task: TaskFolder, folder: Path) -> Path:
    if task.task.format is GGUF:
        folder.mkdir()
        (folder / "model.gguf").write_bytes(task.artefact.read_bytes())
        return folder
    with tarfile.open(task.artefact) as archive:
        archive.extractall(folder, filter="data")
    return folder


def loaded(folder: Path, format: ExportFormat) -> Any:
    """As somebody would who has nothing but the file and transformers."""
    if format is GGUF:
        return AutoModelForCausalLM.from_pretrained(
            folder, gguf_file="model.gguf", dtype=torch.float32
        )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.mark.parametrize("format", [MERGED, GGUF])
def test_what_is_exported_answers_as_the_served_model_does(
    served: Served, tmp_path: Path, format: ExportFormat
) -> None:
    task = served.task(format)

    certificate = make(task)

    model = loaded(unpacked(task, tmp_path / "out"), format)
    oracle = served.oracle(tmp_path / "peft")
    for dialogue in task.task.dialogues:
        assert greedy(model, dialogue.tokens, 12) == greedy(oracle, dialogue.tokens, 12)
    assert certificate["logits"]["is_parity"]
    assert certificate["logits"]["formats"] == ["float32", "float16"]
    assert certificate["template"] == {"prompts": 3, "identical": 3}
    assert certificate["end_tokens"]["export"] == 2
    assert certificate["base_digest"] == served.base.digest


def test_a_merged_folder_is_whole(served: Served, tmp_path: Path) -> None:
    task = served.task(MERGED)
    make(task)

    folder = unpacked(task, tmp_path / "out")

    tensors = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for dialogue in task.task.dialogues:
        rendered = tokenizer.apply_chat_template(
            list(dialogue.messages), add_generation_prompt=True, return_dict=False
        )
        assert list(rendered) == list(dialogue.tokens)
    assert json.loads((folder / "certificate.json").read_text())["format"] == "merged"


def test_peft_files_load_into_peft(served: Served, tmp_path: Path) -> None:
    task = served.task(PEFT)
    certificate = make(task)

    folder = unpacked(task, tmp_path / "out")

    base = AutoModelForCausalLM.from_pretrained(served.folder, dtype=torch.float32)
    model, oracle = PeftModel.from_pretrained(base, str(folder)), served.oracle(tmp_path / "peft")
    prompt = task.task.dialogues[0].tokens
    assert greedy(model, prompt, 12) == greedy(oracle, prompt, 12)
    assert certificate["logits"]["median_difference"] < 1e-4


def without_delta(base: Path, _merge: Merge, folder: Path) -> torch.dtype:
    return write_merged(base, LoraMerge({}, 1.0), folder)


def twice_scaled(base: Path, merge: Merge, folder: Path) -> torch.dtype:
    assert isinstance(merge, LoraMerge)
    return write_merged(base, replace(merge, scaling=2 * merge.scaling), folder)


def another_template(base: Path, merge: Merge, folder: Path) -> torch.dtype:
    dtype = write_merged(base, merge, folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["chat_template"] = config["chat_template"].replace("assistant", "helper")
    path.write_text(json.dumps(config))
    return dtype


def another_end(base: Path, merge: Merge, folder: Path) -> torch.dtype:
    dtype = write_merged(base, merge, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": "<|endoftext|>"}))
    return dtype


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (without_delta, "logits differ"),
        (twice_scaled, "logits differ"),
        (another_template, "other tokens"),
        (another_end, "ends a turn"),
    ],
)
def test_a_damaged_export_makes_no_file(served: Served, damaged: Write, reason: str) -> None:
    task = served.task(MERGED)

    with pytest.raises(ExportRefused, match=reason):
        make(task, {MERGED: damaged})

    assert not task.artefact.exists()
    assert not task.certificate.exists()


def test_a_small_delta_that_was_forgotten_is_found_out(served: Served) -> None:
    quiet = make_adapter("quiet", served.base.model, rank=2, alpha=2, size=0.05)
    task = replace(served, weights=quiet).task(MERGED)
    make(task)
    again = replace(served, weights=quiet, place=served.place.with_name("again")).task(MERGED)

    with pytest.raises(ExportRefused, match="logits differ"):
        make(again, {MERGED: without_delta})


def test_a_base_that_gguf_cannot_hold_is_refused_by_name(served: Served, tmp_path: Path) -> None:
    task = served.task(GGUF)
    config = json.loads((served.folder / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for file in served.folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "gpt_neox"}))

    with pytest.raises(ExportRefused, match="gpt_neox"):
        write_gguf(other, LoraMerge.from_folder(task.adapter), tmp_path)


def export(engine: Engine, request: ExportRequest) -> ExportState:
    engine.artefacts.start_export(request)
    poll_until(
        lambda: engine.artefacts.export_state(request.id).status != "running",
        "the export ends",
        timeout_seconds=120,
    )
    return engine.artefacts.export_state(request.id)


def test_the_engine_exports_beside_its_step_loop(
    served: Served, object_store: ObjectStore, tmp_path: Path
) -> None:
    base = load(served.folder)
    source = FakeAdapterSource()
    good = source.put(served.weights)
    gone = DeltaRef(id="gone", key="gone", digest="0" * 64)
    exports = Exports(object_store, tmp_path / "exports")
    identity = EngineIdentity(id="engine-0", url="http://127.0.0.1:1", pool="default")
    engine = Engine([base], source, FakeAdapterSink(), LIMITS, identity, exports=exports)
    engine.start()
    try:
        request = request_of(base, good, MERGED)
        state = export(engine, request)
        assert (state.status, state.error) == ("stored", None)
        assert state.file is not None
        assert object_store.size(request.key) == state.file.bytes
        assert engine.artefacts.start_export(request) == state, "the same id finds the same export"
        assert list((tmp_path / "exports").iterdir()) == []

        refused = request.model_copy(update={"id": "other", "end_tokens": (7,), "key": "x/refused"})
        state = export(engine, refused)
        assert state.error is not None
        assert (state.status, state.error.code) == ("failed", "export_refused")
        with pytest.raises(ObjectNotFound):
            object_store.get_bytes("x/refused")

        engine.artefacts.cancel_export("other")
        with pytest.raises(ExportLost):
            engine.artefacts.export_state("other")
        with pytest.raises(Exception, match="gone"):
            engine.artefacts.start_export(request_of(base, gone, MERGED))
    finally:
        engine.close()
    assert engine.failed is None
