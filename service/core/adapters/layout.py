"""Which tensors a LoRA holds, and whether they fit the linear layers of a base."""

import re
from collections.abc import Iterable, Mapping

from service.core.adapters.header import TensorEntry
from service.core.engine_protocol import LoraTuning
from service.core.errors import AdapterCorrupt

LinearShapes = Mapping[str, tuple[int, int]]
"""Module name in the base → (out_features, in_features)."""

TensorNames = dict[str, dict[str, str]]
"""Module → factor (`A`, `B`, of a DoRA `magnitude`) → the tensor's name in the file."""

_TENSOR_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\.lora_((?P<factor>[AB])\.weight|magnitude_vector)"
)


def names_by_module(tensors: Iterable[str]) -> TensorNames:
    """Raises AdapterCorrupt for a tensor that is no factor of a LoRA, and for none at all."""
    names: TensorNames = {}
    for name in tensors:
        found = _TENSOR_NAME.fullmatch(name)
        if found is None:
            raise AdapterCorrupt(f"tensor {name!r} is no factor of a LoRA")
        names.setdefault(found["module"], {})[found["factor"] or "magnitude"] = name
    if not names:
        raise AdapterCorrupt("the adapter holds no tensors")
    return names


def check_fit(
    names: TensorNames,
    entries: Mapping[str, TensorEntry],
    tuning: LoraTuning,
    shapes: LinearShapes,
) -> None:
    """Raises AdapterCorrupt for a layer that the base lacks, or factors of other shapes than
    its layers and the rank need."""
    for module, factors in names.items():
        if module not in shapes:
            raise AdapterCorrupt(f"the base has no linear layer {module!r}")
        out_features, in_features = shapes[module]
        expected: dict[str, tuple[int, ...]] = {
            "A": (tuning.rank, in_features),
            "B": (out_features, tuning.rank),
        }
        if tuning.use_dora:
            expected["magnitude"] = (out_features,)
        found = {factor: entries[name].shape for factor, name in factors.items()}
        if found != expected:
            raise AdapterCorrupt(
                f"{module}: the factors' shapes are {found}, the base and rank need {expected}"
            )
