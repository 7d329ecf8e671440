"""A base's stored tensors with a delta applied, one at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from service.core.adapters import CONFIG_NAME, WEIGHTS_NAME, parse_lora_config, scaling_of
from service.core.errors import ExportRefused


class Merge(Protocol):
    """What a kind of delta makes of the base's tensors."""

    @property
    def touched(self) -> frozenset[str]:
        """Names of the tensors that it changes."""

    def apply(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor with the delta, fp32; called for every one that is touched."""


@dataclass(frozen=True)
class LoraMerge:
    """W + scaling · B·A (Hu et al. 2021); of a DoRA each row scaled to its magnitude."""

    factors: dict[str, tuple[torch.Tensor, torch.Tensor]]
    """By the name of the tensor that is changed: A (rank, in) and B (out, rank)."""
    scaling: float
    magnitudes: dict[str, torch.Tensor] = field(default_factory=dict)
    """(out) by the same name, of a DoRA."""

    @classmethod
    def from_folder(cls, folder: Path) -> "LoraMerge":
        """PEFT's two files."""
        tuning = parse_lora_config((folder / CONFIG_NAME).read_bytes())
        tensors = load_file(folder / WEIGHTS_NAME)
        prefix, suffix = "base_model.model.", ".lora_A.weight"
        modules = [n[len(prefix) : -len(suffix)] for n in tensors if n.endswith(suffix)]
        factors = {
            f"{module}.weight": (
                tensors[f"{prefix}{module}{suffix}"].float(),
                tensors[f"{prefix}{module}.lora_B.weight"].float(),
            )
            for module in modules
        }
        magnitudes = {
            f"{module}.weight": tensors[f"{prefix}{module}.lora_magnitude_vector"].float()
            for module in modules
            if tuning.use_dora
        }
        return cls(factors, scaling_of(tuning), magnitudes)

    @property
    def touched(self) -> frozenset[str]:
        return frozenset(self.factors)

    def apply(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        a, b = self.factors[name]
        merged = torch.addmm(tensor.float(), b, a, alpha=self.scaling)
        magnitude = self.magnitudes.get(name)
        if magnitude is None:
            return merged
        norms: torch.Tensor = torch.linalg.vector_norm(merged, dim=1, keepdim=True)
        return merged * (magnitude[:, None] / norms)


def stored_files(base: Path) -> list[Path]:
    """The files that hold the base's weights."""
    index = base / "model.safetensors.index.json"
    if index.is_file():
        names = json.loads(index.read_text())["weight_map"].values()
        return [base / name for name in sorted(set(names))]
    return sorted(base.glob("*.safetensors"))


def merged_tensors(file: Path, merge: Merge) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of one file, with the delta where it is touched."""
    with safe_open(file, framework="pt") as stored:
        for name in stored.keys():  # noqa: SIM118 - no mapping
            tensor = stored.get_tensor(name)
            yield name, merge.apply(name, tensor) if name in merge.touched else tensor


def check_touched(base: Path, merge: Merge) -> None:
    """Raises ExportRefused when the delta changes a tensor that no file holds under its name."""
    held: set[str] = set()
    for file in stored_files(base):
        with safe_open(file, framework="pt") as stored:
            held.update(stored.keys())
    missing = sorted(merge.touched - held)
    if missing:
        raise ExportRefused(
            f"the base's files hold no {missing[0]!r} under that name, so nothing can be merged "
            "into it; export as peft instead"
        )


def sixteen_bits(base: Path) -> tuple[torch.dtype, ...]:
    """The formats to try: bfloat16 where the base is stored so, else float16, which is finer, and
    bfloat16 where a number is too large for that."""
    dtypes: set[str] = set()
    for file in stored_files(base):
        with safe_open(file, framework="pt") as stored:
            dtypes.update(stored.get_slice(name).get_dtype() for name in stored.keys())  # noqa: SIM118
    if dtypes <= {"BF16"}:
        return (torch.bfloat16,)
    return (torch.float16, torch.bfloat16)
