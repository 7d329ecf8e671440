"""`adapter_config.json`: peft's LoraConfig as far as it is served; the rest is refused by name."""

import json
import math
from typing import Any

from pydantic import ValidationError

from service.core.engine_protocol import LoraTuning
from service.core.errors import AdapterCorrupt, UnsupportedParameter

_USED = {
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "use_rslora",
    "use_dora",
    "bias",
}
_WITHOUT_EFFECT = {
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "exclude_modules",  # what is adapted shows in the weights' names
    "layers_to_transform",
    "layers_pattern",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "init_lora_weights",
}
_PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal")
"""Starting points that leave the base's own weights alone; pissa and its kin move part of them
into the adapter."""


def parse_lora_config(content: bytes) -> LoraTuning:
    """Raises AdapterCorrupt for what is no LoRA configuration, UnsupportedParameter naming a
    field that would change the result and is not served."""
    fields = _as_object(content)
    if fields.get("peft_type") != "LORA":
        raise UnsupportedParameter(
            f"adapter_config.json: peft_type {fields.get('peft_type')!r} is not served, only LORA",
            param="peft_type",
        )
    _refuse_unserved(fields)
    targets = fields.get("target_modules")
    try:
        return LoraTuning(
            rank=fields.get("r", 8),
            alpha=fields.get("lora_alpha", 8),
            dropout=fields.get("lora_dropout", 0.0),
            target_modules=tuple(sorted(targets)) if isinstance(targets, list) else "all-linear",
            use_rslora=fields.get("use_rslora", False),
            use_dora=fields.get("use_dora", False),
        )
    except (ValidationError, TypeError) as error:
        raise AdapterCorrupt(f"adapter_config.json is out of bounds: {error}") from error


def scaling_of(tuning: LoraTuning) -> float:
    """Factor on B·A."""
    divisor = math.sqrt(tuning.rank) if tuning.use_rslora else tuning.rank
    return tuning.alpha / divisor


def named_base(content: bytes) -> str | None:
    """The base that the configuration names: a folder or hub name on somebody's machine. Raises
    AdapterCorrupt."""
    name = _as_object(content).get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def _as_object(content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AdapterCorrupt("adapter_config.json is not JSON") from error
    if not isinstance(fields, dict):
        raise AdapterCorrupt("adapter_config.json is not an object")
    return fields


def _refuse_unserved(fields: dict[str, Any]) -> None:
    """A field that later versions of peft add is refused too, unless it is off."""
    refused = {
        name: value
        for name, value in fields.items()
        if name not in _USED | _WITHOUT_EFFECT and value
    }
    if fields.get("bias", "none") != "none":
        refused["bias"] = fields["bias"]
    if fields.get("init_lora_weights") not in _PLAIN_STARTS:
        refused["init_lora_weights"] = fields["init_lora_weights"]
    for name, value in sorted(refused.items()):
        raise UnsupportedParameter(
            f"adapter_config.json: {name} = {value!r} is not served; "
            "train the adapter again without it",
            param=name,
        )
