"""A merged model as a folder that plain transformers loads: 16-bit safetensors, config, tokenizer,
template."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from service.core.errors import ExportRefused
from service.engine.export.merging import (
    Merge,
    check_touched,
    merged_tensors,
    sixteen_bits,
    stored_files,
)

_FORMAT = {"format": "pt"}
_BESIDE = ("*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
_NOT_COPIED = {"sizes.json"}
"""Our own note beside a converted base."""


def write_merged(base: Path, merge: Merge, folder: Path) -> torch.dtype:
    """Returns the format of the weights. Raises ExportRefused when the delta does not fit the
    base's files, or a number fits no 16-bit format."""
    check_touched(base, merge)
    for dtype in sixteen_bits(base):
        if all(_write_file(file, merge, folder, dtype) for file in stored_files(base)):
            _copy_beside(base, folder, dtype)
            return dtype
    raise ExportRefused("a merged weight is too large for 16 bits; export as peft instead")


def _write_file(file: Path, merge: Merge, folder: Path, dtype: torch.dtype) -> bool:
    """One file in memory at a time, as the base is split. False when a number is too large."""
    tensors = {}
    for name, tensor in merged_tensors(file, merge):
        cast = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if not bool(cast.isfinite().all()):
            return False
        tensors[name] = cast.contiguous()
    save_file(tensors, folder / file.name, metadata=_FORMAT)
    return True


def _copy_beside(base: Path, folder: Path, dtype: torch.dtype) -> None:
    for pattern in _BESIDE:
        for file in base.glob(pattern):
            if file.name not in _NOT_COPIED:
                shutil.copyfile(file, folder / file.name)
    config = json.loads((base / "config.json").read_text())
    config.pop("torch_dtype", None)  # the name of older versions, which newer ones prefer
    config["dtype"] = str(dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2))
