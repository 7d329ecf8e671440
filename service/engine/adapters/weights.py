"""Verified bytes of an adapter become AdapterWeights, if they fit the base they name."""

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from service.core.adapters import (
    LinearShapes,
    TensorNames,
    check_fit,
    names_by_module,
    parse_lora_config,
    read_header,
    scaling_of,
)
from service.core.engine_protocol import DeltaRef
from service.core.errors import AdapterCorrupt, UnsupportedParameter
from service.engine.adapters.files import AdapterFiles
from service.engine.parts import AdapterWeights, LoraPair


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
    names = names_by_module(entries)
    if files.manifest.base_digest not in shapes:
        raise AdapterCorrupt(
            f"the adapter belongs to base {files.manifest.base} with digest "
            f"{files.manifest.base_digest}, which this engine does not hold"
        )
    check_fit(names, entries, tuning, shapes[files.manifest.base_digest])
    return AdapterWeights(
        id=ref.id,
        digest=ref.digest,
        tuning=tuning,
        scaling=scaling_of(tuning),
        modules=_factors(names, files.weights),
    )


def _factors(names: TensorNames, content: bytes) -> dict[str, LoraPair]:
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterCorrupt(f"the weights do not load: {error}") from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):  # it would spread to every row beside its own
            raise AdapterCorrupt(f"tensor {name!r} holds numbers that are not finite")
    return {
        module: LoraPair(
            a=tensors[factors["A"]].to(torch.float32), b=tensors[factors["B"]].to(torch.float32)
        )
        for module, factors in names.items()
    }
