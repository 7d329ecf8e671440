"""A LoRA in peft's own names, so that plain `PeftModel.from_pretrained` loads it."""

import json
from collections.abc import Iterable

import torch
from peft import LoraConfig
from transformers import PreTrainedModel

from service.engine.parts import AdapterWeights, LoadedBase


def adapter_config(weights: AdapterWeights, base: LoadedBase) -> bytes:
    """`adapter_config.json`. Equal weights of equal bases give equal bytes."""
    tuning = weights.tuning
    alpha = float(tuning.alpha)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base.name,
        inference_mode=True,
        r=tuning.rank,
        lora_alpha=int(alpha) if alpha.is_integer() else alpha,  # type: ignore[arg-type]
        lora_dropout=tuning.dropout,
        target_modules=target_modules(weights.modules, base.model),
        use_rslora=tuning.use_rslora,
        use_dora=tuning.use_dora,
    )
    fields = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in config.to_dict().items()  # type: ignore[no-untyped-call]
    }
    return json.dumps(fields, sort_keys=True, indent=2).encode()


def adapter_tensors(weights: AdapterWeights) -> dict[str, torch.Tensor]:
    """The content of `adapter_model.safetensors`."""
    tensors = {}
    for module, pair in weights.modules.items():
        for factor, tensor in (("A", pair.a), ("B", pair.b)):
            # A copy, because factors may be views of one buffer, which safetensors refuses.
            name = f"base_model.model.{module}.lora_{factor}.weight"
            tensors[name] = tensor.detach().to("cpu", torch.float32).clone().contiguous()
    for module, magnitude in weights.magnitudes.items():
        name = f"base_model.model.{module}.lora_magnitude_vector"
        tensors[name] = magnitude.detach().to("cpu", torch.float32).clone()
    return tensors


def target_modules(adapted: Iterable[str], model: PreTrainedModel) -> list[str]:
    """Last parts of the names, such as `q_proj`, where that hits no module that is not adapted;
    whole names where it would."""
    modules = set(adapted)
    others = {name.rpartition(".")[2] for name, _ in model.named_modules() if name not in modules}
    return sorted(
        {name if (last := name.rpartition(".")[2]) in others else last for name in modules}
    )
