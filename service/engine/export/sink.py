"""ObjectStoreSink: the AdapterSink of `service.engine.parts` over S3. No pickle in any file."""

import json
from collections.abc import Mapping

import torch
from safetensors.torch import save

from service.core.engine_protocol import StoredFile
from service.core.storage import ObjectStore
from service.engine.export.hf_folder import OVERLAY_NAME, hugging_face_files, is_whole
from service.engine.export.model_card import model_card
from service.engine.export.peft_files import adapter_config, adapter_tensors
from service.engine.parts import DeltaWeights, HeadWeights, LoadedBase

_FORMAT = {"format": "pt"}
"""Which library's tensors these are; transformers refuses a file that does not say so."""


class ObjectStoreSink:
    """Thread-safe. Writes nothing but the files named here, below the prefix it is given."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def store_delta(
        self, key_prefix: str, delta: DeltaWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        files = delta_files(delta, base, job=job, step=step)
        written = {f"adapter/{name}": content for name, content in files.items()}
        shared = (
            StoredFile(
                name=f"adapter/{file.name}", bytes=file.bytes, sha256=file.sha256, key=file.key
            )
            for file in delta.files.values()
        )
        return (*self._store_all(key_prefix, written), *shared)

    def store_state(
        self, key_prefix: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> tuple[StoredFile, ...]:
        files = {
            "state/state.json": json.dumps(dict(metadata), sort_keys=True, indent=2).encode(),
            "state/state.safetensors": save(_plain(tensors), metadata=_FORMAT),
        }
        return self._store_all(key_prefix, files)

    def _store_all(self, key_prefix: str, files: Mapping[str, bytes]) -> tuple[StoredFile, ...]:
        return tuple(self._store_one(key_prefix, name, files[name]) for name in files)

    def _store_one(self, key_prefix: str, name: str, content: bytes) -> StoredFile:
        written = self._store.put_bytes(key_prefix + name, content)
        return StoredFile(name=name, bytes=written.bytes, sha256=written.sha256)


def delta_files(delta: DeltaWeights, base: LoadedBase, *, job: str, step: int) -> dict[str, bytes]:
    """By name, below the delta's folder; none of a part whose files are shared."""
    card = model_card(delta, base=base.name, job=job, step=step)
    files: dict[str, bytes] = {"README.md": card.encode()}
    if delta.overlay is not None and OVERLAY_NAME not in delta.files:
        if is_whole(delta.overlay, base):
            files |= hugging_face_files(delta.overlay, base)
        files[OVERLAY_NAME] = save(_plain(delta.overlay.tensors), metadata=_FORMAT)
    if delta.adapter is not None and "adapter_model.safetensors" not in delta.files:
        tensors = adapter_tensors(delta.adapter)
        files["adapter_config.json"] = adapter_config(delta.adapter, base)
        files["adapter_model.safetensors"] = save(tensors, metadata=_FORMAT)
    if delta.head is not None and "head.safetensors" not in delta.files:
        files["head.json"] = _head_spec(delta.head)
        files["head.safetensors"] = save(_plain(delta.head.tensors), metadata=_FORMAT)
    return files


def _head_spec(head: HeadWeights) -> bytes:
    fields = {"spec": head.spec.model_dump(mode="json"), "temperature": head.temperature}
    return json.dumps(fields, sort_keys=True, indent=2).encode()


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies, because they may be views of one buffer, which safetensors refuses."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
