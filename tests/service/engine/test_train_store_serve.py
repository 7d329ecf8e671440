"""From rows to answers through the real adapter store: what is served is what peft computes."""

import hashlib
import uuid
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from service.core.engine_protocol import (
    DeltaRef,
    FullTuning,
    LoraTuning,
    SaveStored,
    Tuning,
)
from service.core.errors import AdapterCorrupt
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.storage import ObjectStore
from service.engine.adapters import AdapterDisk, AdapterStore, linear_shapes
from service.engine.export import ObjectStoreSink
from service.engine.scheduler import Engine
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_oracle import greedy, load_peft
from tests.service.engine.real_engine import BASE, as_base, load_tiny_model, running_engine
from tests.service.engine.training.rows import make_rows
from tests.service.engine.training_session import Job

TUNINGS = {
    "ftjob-a": LoraTuning(rank=4, alpha=32),
    "ftjob-b": LoraTuning(rank=2, alpha=16, target_modules=("q_proj", "down_proj")),
}
PROMPT = [20, 30, 40, 50]


def publish(store: ObjectStore, key: str, job: Job, saved: SaveStored) -> DeltaRef:
    """Write the manifest, as the worker does."""
    files = tuple(
        ManifestFile(file.name.removeprefix("adapter/"), file.bytes, file.sha256, file.key)
        for file in saved.files
    )
    digest = job.opened.base_digest
    manifest = Manifest("delta", base=BASE, base_digest=digest, job="ftjob", step=10, files=files)
    store.put_bytes(f"{key}adapter/{MANIFEST_NAME}", manifest.to_bytes())
    return DeltaRef(id=job.session, key=f"{key}adapter", digest=manifest.digest)


def train_and_publish(
    store: ObjectStore, engine: Engine, name: str, tuning: Tuning, start: DeltaRef | None = None
) -> DeltaRef:
    job = Job(engine, name, tuning=tuning, start_from=start, prefix=f"p/{uuid.uuid4().hex}/")
    for step in range(1, 4):
        job.forward_backward(make_rows((30, 30)), step=step)
        job.optimize(step=step)
    key = job.save(3)
    saved = job.finish()[-1]
    assert isinstance(saved, SaveStored)
    engine.close_session(job.session)
    return publish(store, key, job, saved)


def test_an_adapter_on_a_full_model_shares_its_weights_on_every_shelf(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    base = as_base(load_tiny_model())
    shapes = {base.digest: linear_shapes(base.model)}

    def open_source(disk: str) -> AdapterStore:
        cache = AdapterDisk(tmp_path / disk, 10**8)
        return AdapterStore(object_store, disk=cache, memory_bytes=10**8, shapes=shapes)

    source = open_source("first")
    with running_engine(source=source, sink=ObjectStoreSink(object_store)) as engine:
        full = train_and_publish(object_store, engine, "ftjob-full", FullTuning())
        on_it = train_and_publish(object_store, engine, "ftjob-on", LoraTuning(rank=2), full)
    source.close()

    own = list(object_store.list_keys(f"{on_it.key}/"))
    assert f"{on_it.key}/overlay.safetensors" not in own
    model = load_tiny_model()
    overlay = load(object_store.get_bytes(f"{full.key}/overlay.safetensors"))
    model.load_state_dict(overlay, strict=False)
    expected = [greedy(model, PROMPT, 12)]
    folder = tmp_path / "peft"
    folder.mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / file).write_bytes(object_store.get_bytes(f"{on_it.key}/{file}"))
    expected.append(greedy(load_peft(model, folder), PROMPT, 12))
    for _ in range(2):  # from the object store, then from the disk
        source = open_source("second")
        with running_engine(source=source) as engine:
            connection = Connection(engine)
            for name, ref in (("full", full), ("on it", on_it)):
                connection.start(name, PROMPT, adapter=ref, max_tokens=12)
            assert [answer.tokens for answer in connection.wait_all()] == expected
        assert len({id(source.load(ref).result(10).overlay) for ref in (full, on_it)}) == 1
        source.close()
    assert len(list((tmp_path / "second").glob("*/overlay.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["flipped", "of another shape", "not finite"])
def test_a_broken_overlay_fails_alone(
    damage: str, object_store: ObjectStore, tmp_path: Path
) -> None:
    base = as_base(load_tiny_model())
    shapes = {base.digest: linear_shapes(base.model)}
    disk = AdapterDisk(tmp_path / "disk", 10**8)
    source = AdapterStore(object_store, disk=disk, memory_bytes=10**8, shapes=shapes)
    with running_engine(source=source, sink=ObjectStoreSink(object_store)) as engine:
        fine = train_and_publish(object_store, engine, "ftjob-fine", LoraTuning(rank=2))
        broken = break_overlay(object_store, damage)
        connection = Connection(engine)
        answers = {
            name: connection.start(name, PROMPT, adapter=ref, max_tokens=4)
            for name, ref in (("fine", fine), ("broken", broken), ("base", None))
        }
        connection.wait_all()
        with pytest.raises(AdapterCorrupt):
            Job(engine, "ftjob-on-it", tuning=LoraTuning(rank=2), start_from=broken)
    source.close()

    assert answers["broken"].error_code == "adapter_corrupt"
    assert len(answers["fine"].tokens) == len(answers["base"].tokens) == 4


def break_overlay(store: ObjectStore, damage: str) -> DeltaRef:
    """An overlay of one tensor, whose manifest is true unless a byte is flipped afterwards."""
    shape = (3, 3) if damage == "of another shape" else (48,)
    weight = torch.ones(shape)
    if damage == "not finite":
        weight[5] = float("nan")
    content = save({"model.norm.weight": weight})
    listed = ManifestFile("overlay.safetensors", len(content), hashlib.sha256(content).hexdigest())
    manifest = Manifest("delta", BASE, "b" * 64, "ftjob", 1, (listed,))
    key = f"p/{uuid.uuid4().hex}/adapter"
    if damage == "flipped":
        content = content[:-1] + b"!"
    store.put_bytes(f"{key}/overlay.safetensors", content)
    store.put_bytes(f"{key}/{MANIFEST_NAME}", manifest.to_bytes())
    return DeltaRef(id=f"broken {damage}", key=key, digest=manifest.digest)


def test_two_jobs_answer_in_one_batch_as_peft_does_from_their_files(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    base = as_base(load_tiny_model())
    shapes = {base.digest: linear_shapes(base.model)}
    disk = AdapterDisk(tmp_path / "disk", 10**8)
    source = AdapterStore(object_store, disk=disk, memory_bytes=10**8, shapes=shapes)
    prefix = f"p/{uuid.uuid4().hex}/"
    with running_engine(source=source, sink=ObjectStoreSink(object_store)) as engine:
        jobs = {
            name: Job(engine, name, tuning=tuning, prefix=prefix)
            for name, tuning in TUNINGS.items()
        }
        keys = {}
        for seed, (name, job) in enumerate(jobs.items()):
            for step in range(1, 11):
                job.forward_backward(make_rows((30, 30), seed=seed), step=step)
                job.optimize(step=step)
            keys[name] = job.save(10)
        refs: list[DeltaRef | None] = [None]
        for name, job in jobs.items():
            saved = job.finish()[-1]
            assert isinstance(saved, SaveStored)
            refs.append(publish(object_store, keys[name], job, saved))
        connection = Connection(engine)
        for index, ref in enumerate(refs * 2):
            connection.start(str(index), PROMPT, adapter=ref, max_tokens=16)
        answers = [answer.tokens for answer in connection.wait_all()]
    source.close()

    expected = [greedy(load_tiny_model(), PROMPT, 16)]
    for name, key in keys.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / file).write_bytes(object_store.get_bytes(f"{key}adapter/{file}"))
        expected.append(greedy(load_peft(load_tiny_model(), folder), PROMPT, 16))
    assert answers == expected * 2
    assert len({tuple(tokens) for tokens in answers}) == 3
