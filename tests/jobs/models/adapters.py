"""Adapters for the fake engine's base, as files, archives and hostile archives."""

import gzip
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import save

from tests.fakes.engine import FAKE_BASE

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def config(**changes: object) -> bytes:
    fields = {
        "peft_type": "LORA",
        "base_model_name_or_path": f"somebody/{FAKE_BASE.name}",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
    }
    return json.dumps({**fields, **changes}).encode()


def weights(*, rank: int = 4, width: int = 8, layer: str = LAYER, dtype: Any = np.float32) -> bytes:
    return save(
        {
            f"{layer}.lora_A.weight": np.ones((rank, width), dtype=dtype),
            f"{layer}.lora_B.weight": np.ones((width, rank), dtype=dtype),
        }
    )


def adapter(**changes: object) -> dict[str, bytes]:
    return {CONFIG: config(**changes), WEIGHTS: weights()}


def zipped(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    return archive.getvalue()


def tarred(files: Mapping[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        for info in extra:
            writer.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            writer.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 1)


def tar_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str, target: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        writer.writestr(info, target)
    return archive.getvalue()


def huge_header_tar() -> bytes:
    """A long-name record that claims 4 GB of name."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 * 1024**3
    return info.tobuf() + bytes(10 * 512)


@dataclass(frozen=True)
class BytesSource:
    """What archives are read from, in memory."""

    content: bytes
    chunk: int = 1000

    @property
    def size(self) -> int:
        return len(self.content)

    def stream(self) -> Any:
        return (self.content[i : i + self.chunk] for i in range(0, self.size, self.chunk))

    def range(self, start: int, end: int) -> bytes:
        return self.content[start:end]
