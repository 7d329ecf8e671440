"""Verified bytes of an adapter become AdapterWeights, if they fit the base they name."""

import re
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from service.core.engine_protocol import DeltaRef, LoraTuning
from service.core.errors import AdapterCorrupt, UnsupportedParameter
from service.engine.adapters.files import AdapterFiles
from service.engine.adapters.header import TensorEntry, read_header
from service.engine.adapters.lora_config import parse_lora_config, scaling_of
from service.engine.adapters.shapes import LinearShapes
from service.engine.parts import AdapterWeights, LoraPair

_TENSOR_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")

TensorNames = dict[str, dict[str, str]]
"""Module → factor (`A`, `B`) → the tensor's name in the file."""


def read_weights(
    ref: DeltaRef, files: AdapterFiles, shapes: Mapping[str, LinearShapes]
) -> AdapterWeights:
    """`shapes` has the linear layers of each resident base, by base digest.

    Raises AdapterCorrupt for weights that do not fit their own configuration or the base,
    UnsupportedParameter for a kind of adapter that is not served.
    """
    if files.manifest.kind != "lora":
        raise UnsupportedParameter(f"a delta of kind {files.manifest.kind!r} is not served here")
    tuning = parse_lora_config(files.config)
    entries = read_header(files.weights)
    names = _names_by_module(entries)
    if files.manifest.base_digest not in shapes:
        raise AdapterCorrupt(
            f"the adapter belongs to base {files.manifest.base} with digest "
            f"{files.manifest.base_digest}, which this engine does not hold"
        )
    _check_fit(names, entries, tuning, shapes[files.manifest.base_digest])
    return AdapterWeights(
        id=ref.id,
        digest=ref.digest,
        tuning=tuning,
        scaling=scaling_of(tuning),
        modules=_factors(names, files.weights),
    )


def _names_by_module(entries: Mapping[str, TensorEntry]) -> TensorNames:
    names: TensorNames = {}
    for name in entries:
        found = _TENSOR_NAME.fullmatch(name)
        if found is None:
            raise AdapterCorrupt(f"tensor {name!r} is no factor of a LoRA")
        names.setdefault(found["module"], {})[found["factor"]] = name
    if not names:
        raise AdapterCorrupt("the adapter holds no tensors")
    return names


def _check_fit(
    names: TensorNames,
    entries: Mapping[str, TensorEntry],
    tuning: LoraTuning,
    shapes: LinearShapes,
) -> None:
    for module, factors in names.items():
        if module not in shapes:
            raise AdapterCorrupt(f"the base has no linear layer {module!r}")
        out_features, in_features = shapes[module]
        expected = {"A": (tuning.rank, in_features), "B": (out_features, tuning.rank)}
        found = {factor: entries[name].shape for factor, name in factors.items()}
        if found != expected:
            raise AdapterCorrupt(
                f"{module}: the factors' shapes are {found}, the base and rank need {expected}"
            )


def _factors(names: TensorNames, content: bytes) -> dict[str, LoraPair]:
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterCorrupt(f"the weights do not load: {error}") from error
    return {
        module: LoraPair(
            a=tensors[factors["A"]].to(torch.float32), b=tensors[factors["B"]].to(torch.float32)
        )
        for module, factors in names.items()
    }
