"""ObjectStoreSink: the AdapterSink of `service.engine.parts` over S3. No pickle in either file."""

import json
from collections.abc import Mapping

import torch
from safetensors.torch import save

from service.core.engine_protocol import StoredFile
from service.core.storage import ObjectStore
from service.engine.export.model_card import model_card
from service.engine.export.peft_files import adapter_config, adapter_tensors
from service.engine.parts import AdapterWeights, LoadedBase

_FORMAT = {"format": "pt"}
"""Which library's tensors these are; transformers refuses a file that does not say so."""


class ObjectStoreSink:
    """Thread-safe. Writes nothing but the files named here, below the prefix it is given."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def store_adapter(
        self, key_prefix: str, weights: AdapterWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        files = {
            "adapter/README.md": model_card(weights, base=base.name, job=job, step=step).encode(),
            "adapter/adapter_config.json": adapter_config(weights, base),
            "adapter/adapter_model.safetensors": save(adapter_tensors(weights), metadata=_FORMAT),
        }
        return self._store_all(key_prefix, files)

    def store_state(
        self, key_prefix: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> tuple[StoredFile, ...]:
        # Copies, because moments may be views of one buffer, which safetensors refuses.
        plain = {
            name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()
        }
        files = {
            "state/state.json": json.dumps(dict(metadata), sort_keys=True, indent=2).encode(),
            "state/state.safetensors": save(plain, metadata=_FORMAT),
        }
        return self._store_all(key_prefix, files)

    def _store_all(self, key_prefix: str, files: Mapping[str, bytes]) -> tuple[StoredFile, ...]:
        stored = []
        for name, content in files.items():
            written = self._store.put_bytes(key_prefix + name, content)
            stored.append(StoredFile(name=name, bytes=written.bytes, sha256=written.sha256))
        return tuple(stored)
