"""Adapters to store and load: random weights, and files altered on purpose."""

import hashlib
import json
from collections.abc import Mapping
from itertools import count

import torch
from safetensors.torch import save

from service.core.adapters.lora_config import scaling_of
from service.core.engine_protocol import DeltaRef, LoraTuning
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.storage import ObjectStore
from service.engine.adapters import linear_shapes
from service.engine.export.peft_files import adapter_config, adapter_tensors
from service.engine.parts import AdapterWeights, LoadedBase, LoraPair

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def random_adapter(
    base: LoadedBase, *, seed: int = 0, tuning: LoraTuning | None = None, only: str = ""
) -> AdapterWeights:
    """Random factors for every linear layer whose name ends in `only`."""
    tuning = tuning or LoraTuning(rank=4, alpha=8)
    generator = torch.Generator().manual_seed(seed)
    return AdapterWeights(
        id=f"random-{seed}",
        digest="",
        tuning=tuning,
        scaling=scaling_of(tuning),
        modules={
            name: LoraPair(
                a=torch.randn(tuning.rank, in_features, generator=generator),
                b=torch.randn(out_features, tuning.rank, generator=generator) / 5,
            )
            for name, (out_features, in_features) in linear_shapes(base.model).items()
            if name.endswith(only)
        },
    )


def peft_files(weights: AdapterWeights, base: LoadedBase) -> dict[str, bytes]:
    return {CONFIG: adapter_config(weights, base), WEIGHTS: save(adapter_tensors(weights))}


def with_config(files: Mapping[str, bytes], **fields: object) -> dict[str, bytes]:
    """The files with some fields of the configuration replaced."""
    config = json.loads(files[CONFIG]) | fields
    return {**files, CONFIG: json.dumps(config).encode()}


def with_tensors(
    weights: AdapterWeights, base: LoadedBase, tensors: Mapping[str, torch.Tensor]
) -> dict[str, bytes]:
    """The adapter's files with other tensors."""
    return {**peft_files(weights, base), WEIGHTS: save(dict(tensors))}


class AdapterShelf:
    """Stores adapters under one prefix."""

    def __init__(self, store: ObjectStore, base: LoadedBase, prefix: str) -> None:
        self.store = store
        self.base = base
        self._prefix = prefix
        self._ids = count(1)

    def put_adapter(self, weights: AdapterWeights) -> DeltaRef:
        return self.put_files(peft_files(weights, self.base))

    def put_files(
        self,
        files: Mapping[str, bytes],
        *,
        kind: str = "lora",
        base_digest: str | None = None,
    ) -> DeltaRef:
        """With a true manifest, whatever the files are."""
        listed = tuple(
            ManifestFile(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        )
        manifest = Manifest(
            kind=kind,
            base=self.base.name,
            base_digest=base_digest or self.base.digest,
            job="ftjob-test",
            step=1,
            files=listed,
        )
        id = f"adapter-{next(self._ids)}"
        key = f"{self._prefix}{id}"
        for name, content in {**files, MANIFEST_NAME: manifest.to_bytes()}.items():
            self.store.put_bytes(f"{key}/{name}", content)
        return DeltaRef(id=id, key=key, digest=manifest.digest)
