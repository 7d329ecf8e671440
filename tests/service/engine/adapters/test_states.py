"""A training state comes back as it was stored, or not at all."""

import uuid

import pytest
import torch

from service.core.engine_protocol import ResumePoint
from service.core.errors import AdapterCorrupt
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.storage import ObjectStore
from service.engine.adapters.states import read_state
from service.engine.export import ObjectStoreSink

TENSORS = {"weights.layer.a": torch.tensor([[1.0, -2.0]]), "first_moment.layer.a": torch.zeros(3)}
METADATA = {"optimizer_steps": "12", "seed": "7"}


def store_state(store: ObjectStore, *, kind: str = "state") -> ResumePoint:
    """As engine and worker do together."""
    prefix = f"states/{uuid.uuid4().hex}/"
    files = tuple(
        ManifestFile(file.name.removeprefix("state/"), file.bytes, file.sha256)
        for file in ObjectStoreSink(store).store_state(prefix, TENSORS, METADATA)
    )
    manifest = Manifest(kind, base="tiny", base_digest="b", job="ftjob", step=12, files=files)
    store.put_bytes(f"{prefix}state/{MANIFEST_NAME}", manifest.to_bytes())
    return ResumePoint(key=f"{prefix}state", digest=manifest.digest)


def test_a_state_comes_back_as_it_was_stored(object_store: ObjectStore) -> None:
    state = read_state(object_store, store_state(object_store))

    assert state.metadata == METADATA
    assert state.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(state.tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("name", [MANIFEST_NAME, "state.json", "state.safetensors"])
def test_a_changed_or_missing_file_is_found(object_store: ObjectStore, name: str) -> None:
    point = store_state(object_store)
    key = f"{point.key}/{name}"
    content = object_store.get_bytes(key)

    object_store.put_bytes(key, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AdapterCorrupt):
        read_state(object_store, point)

    object_store.delete(key)
    with pytest.raises(AdapterCorrupt):
        read_state(object_store, point)


def test_an_adapter_is_no_state(object_store: ObjectStore) -> None:
    with pytest.raises(AdapterCorrupt):
        read_state(object_store, store_state(object_store, kind="lora"))
