"""Adapters for tests, and what peft computes with the same weights. Imports torch and peft."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from service.core.engine_protocol import LoraTuning
from service.engine.layers import adaptable_linears, select_targets
from service.engine.parts import AdapterWeights, LoraPair

Targets = str | tuple[str, ...]


def make_adapter(
    id: str,
    model: PreTrainedModel,
    *,
    rank: int = 4,
    alpha: float = 8,
    targets: Targets = "all-linear",
    use_rslora: bool = False,
    use_dora: bool = False,
    size: float = 0.3,
) -> AdapterWeights:
    """Random weights that depend on `id` alone, large enough to change what is answered."""
    tuning = LoraTuning.model_validate(
        {
            "rank": rank,
            "alpha": alpha,
            "target_modules": targets,
            "use_rslora": use_rslora,
            "use_dora": use_dora,
        }
    )
    random = torch.Generator().manual_seed(sum(id.encode()))
    linears = adaptable_linears(model)
    modules = {
        name: _random_pair(linears[name], rank, size, random)
        for name in select_targets(linears, tuning)
    }
    root = rank**0.5 if use_rslora else rank
    digest = f"{sum(id.encode()):064x}"
    magnitudes = {
        name: linears[name].weight.norm(dim=1) * (0.5 + torch.rand(len(pair.b), generator=random))
        for name, pair in modules.items()
        if use_dora
    }
    return AdapterWeights(id, digest, tuning, alpha / root, modules, magnitudes)


def peft_model(model: PreTrainedModel, weights: AdapterWeights, folder: Path) -> PeftModel:
    """`model` with the adapter, through files as peft reads them."""
    write_peft_files(weights, folder)
    return load_peft(model, folder)


def load_peft(model: PreTrainedModel, folder: Path) -> PeftModel:
    """`model` with the adapter that lies in a folder."""
    adapted = PeftModel.from_pretrained(model, str(folder))
    adapted.eval()
    return adapted


def write_peft_files(weights: AdapterWeights, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": weights.tuning.rank,
        "lora_alpha": weights.tuning.alpha,
        "lora_dropout": weights.tuning.dropout,
        "use_rslora": weights.tuning.use_rslora,
        "use_dora": weights.tuning.use_dora,
        "target_modules": sorted(weights.modules),
        "base_model_name_or_path": None,
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = peft_tensors(weights.modules)
    for name, magnitude in weights.magnitudes.items():
        tensors[f"base_model.model.{name}.lora_magnitude_vector"] = magnitude.clone()
    save_file(tensors, folder / "adapter_model.safetensors")


def peft_tensors(modules: Mapping[str, LoraPair]) -> dict[str, torch.Tensor]:
    """Under peft's names."""
    return {
        f"base_model.model.{name}.lora_{factor}.weight": tensor.contiguous()
        for name, pair in modules.items()
        for factor, tensor in (("A", pair.a), ("B", pair.b))
    }


@torch.inference_mode()
def greedy(model: nn.Module, prompt: Sequence[int], count: int) -> list[int]:
    """The next tokens by whole forward passes, without a cache."""
    tokens = list(prompt)
    for _ in range(count):
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits
        tokens.append(int(logits[0, -1].argmax()))
    return tokens[len(prompt) :]


def _random_pair(linear: nn.Linear, rank: int, size: float, random: torch.Generator) -> LoraPair:
    return LoraPair(
        torch.randn(rank, linear.in_features, generator=random) * size,
        torch.randn(linear.out_features, rank, generator=random) * size,
    )
