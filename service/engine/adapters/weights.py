"""Verified bytes of a delta become DeltaWeights, if they fit the base they name."""

import json
from collections.abc import Mapping

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from service.core.adapters import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    LinearShapes,
    check_fit,
    names_by_module,
    parse_lora_config,
    read_header,
    scaling_of,
)
from service.core.engine_protocol import DeltaRef, HeadSpec, LoraTuning
from service.core.errors import AdapterCorrupt, UnsupportedParameter
from service.engine.adapters.files import HEAD_NAME, HEAD_SPEC_NAME, OVERLAY_NAME, DeltaFiles
from service.engine.parts import (
    AdapterWeights,
    DeltaWeights,
    HeadWeights,
    LoraPair,
    OverlayWeights,
)

_KINDS = ("delta", "lora")


def read_delta(
    ref: DeltaRef, files: DeltaFiles, shapes: Mapping[str, LinearShapes]
) -> DeltaWeights:
    """`shapes` has the linear layers of each resident base, by base digest.

    Raises AdapterCorrupt for weights that do not fit their own configuration or the base, or are
    not finite, UnsupportedParameter for a kind of adapter that is not served.
    """
    manifest, contents = files.manifest, files.contents
    if manifest.kind not in _KINDS:
        raise UnsupportedParameter(f"a delta of kind {manifest.kind!r} is not served here")
    adapter = overlay = head = None
    if CONFIG_NAME in contents:
        tuning = parse_lora_config(contents[CONFIG_NAME])
        adapter = _Adapter(ref, tuning, contents[WEIGHTS_NAME])
    if manifest.base_digest not in shapes:
        raise AdapterCorrupt(
            f"the adapter belongs to base {manifest.base} with digest "
            f"{manifest.base_digest}, which this engine does not hold"
        )
    if OVERLAY_NAME in contents:
        sha256 = next(file.sha256 for file in manifest.files if file.name == OVERLAY_NAME)
        overlay = OverlayWeights(_tensors(contents[OVERLAY_NAME]), sha256)
    if HEAD_NAME in contents:
        head = _read_head(contents[HEAD_SPEC_NAME], contents[HEAD_NAME])
    return DeltaWeights(
        id=ref.id,
        digest=ref.digest,
        overlay=overlay,
        adapter=None if adapter is None else adapter.read(shapes[manifest.base_digest]),
        head=head,
        files={file.name: file for file in manifest.files if file.name in contents},
    )


class _Adapter:
    """PEFT's two files."""

    def __init__(self, ref: DeltaRef, tuning: LoraTuning, content: bytes) -> None:
        self._ref = ref
        self._tuning = tuning
        self._content = content
        self._entries = read_header(content)
        self._names = names_by_module(self._entries)

    def read(self, shapes: LinearShapes) -> AdapterWeights:
        check_fit(self._names, self._entries, self._tuning, shapes)
        tensors = _tensors(self._content)

        def of(module: str, factor: str) -> torch.Tensor:
            return tensors[self._names[module][factor]].to(torch.float32)

        return AdapterWeights(
            id=self._ref.id,
            digest=self._ref.digest,
            tuning=self._tuning,
            scaling=scaling_of(self._tuning),
            modules={
                module: LoraPair(a=of(module, "A"), b=of(module, "B")) for module in self._names
            },
            magnitudes={
                module: of(module, "magnitude") for module in self._names if self._tuning.use_dora
            },
        )


def _read_head(spec: bytes, content: bytes) -> HeadWeights:
    try:
        fields = json.loads(spec)
        return HeadWeights(
            spec=HeadSpec.model_validate(fields["spec"]),
            temperature=float(fields["temperature"]),
            tensors=_tensors(content),
        )
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        raise AdapterCorrupt(f"{HEAD_SPEC_NAME} describes no head: {error}") from error


def _tensors(content: bytes) -> dict[str, torch.Tensor]:
    read_header(content)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterCorrupt(f"the weights do not load: {error}") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise AdapterCorrupt(f"tensor {name!r} holds numbers that are not finite")
    return tensors
