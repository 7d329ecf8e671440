"""From rows to answers through the real adapter store: what is served is what peft computes."""

import uuid
from pathlib import Path

from service.core.engine_protocol import DeltaRef, LoraTuning, SaveStored
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.storage import ObjectStore
from service.engine.adapters import AdapterDisk, AdapterStore, linear_shapes
from service.engine.export import ObjectStoreSink
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
        ManifestFile(file.name.removeprefix("adapter/"), file.bytes, file.sha256)
        for file in saved.files
    )
    digest = job.opened.base_digest
    manifest = Manifest("lora", base=BASE, base_digest=digest, job="ftjob", step=10, files=files)
    store.put_bytes(f"{key}adapter/{MANIFEST_NAME}", manifest.to_bytes())
    return DeltaRef(id=job.session, key=f"{key}adapter", digest=manifest.digest)


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
