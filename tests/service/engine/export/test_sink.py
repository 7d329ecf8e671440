"""What is saved loads with plain peft and computes what the weights say."""

import copy
import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load

from service.core.adapters.lora_config import parse_lora_config
from service.core.engine_protocol import LoraTuning, StoredFile
from service.core.storage import ObjectStore
from service.engine.export import ObjectStoreSink
from service.engine.export.peft_files import target_modules
from service.engine.parts import AdapterWeights, DeltaWeights, LoadedBase
from tests.service.engine.adapters.builders import random_adapter

_TOKENS = torch.arange(3, 43)[None]

_ALL_KINDS = [
    pytest.param(LoraTuning(rank=4, alpha=8), "", id="all-linear"),
    pytest.param(LoraTuning(rank=3, alpha=7.5, use_rslora=True), "", id="rslora"),
    pytest.param(LoraTuning(rank=4, alpha=8, target_modules=("v_proj",)), "v_proj", id="one kind"),
    pytest.param(LoraTuning(rank=4, alpha=8), "layers.1.mlp.up_proj", id="one layer"),
]


def _save(
    store: ObjectStore, weights: AdapterWeights, base: LoadedBase, prefix: str
) -> tuple[StoredFile, ...]:
    delta = DeltaWeights(weights.id, "", adapter=weights)
    return ObjectStoreSink(store).store_delta(prefix, delta, base=base, job="ftjob-1", step=12)


def _fetch(store: ObjectStore, prefix: str, files: tuple[StoredFile, ...], folder: Path) -> Path:
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.get_bytes(prefix + file.name))
    return folder / "adapter"


def _merged_logits(base: LoadedBase, weights: AdapterWeights) -> torch.Tensor:
    """By the definition: W + scaling · B·A."""
    model = copy.deepcopy(base.model)
    with torch.no_grad():
        for name, pair in weights.modules.items():
            weight = model.get_parameter(f"{name}.weight")
            weight.add_(weights.scaling * (pair.b @ pair.a))
        logits: torch.Tensor = model(_TOKENS).logits
    return logits


@pytest.mark.parametrize(("tuning", "only"), _ALL_KINDS)
def test_peft_computes_the_same_logits(
    tuning: LoraTuning, only: str, tiny_base: LoadedBase, object_store: ObjectStore, tmp_path: Path
) -> None:
    weights = random_adapter(tiny_base, tuning=tuning, only=only)
    files = _save(object_store, weights, tiny_base, f"export/{tmp_path.name}/")
    folder = _fetch(object_store, f"export/{tmp_path.name}/", files, tmp_path)

    loaded = PeftModel.from_pretrained(copy.deepcopy(tiny_base.model), folder).eval()

    with torch.no_grad():
        logits = loaded(_TOKENS).logits
        base_logits = tiny_base.model(_TOKENS).logits
    assert not torch.allclose(logits, base_logits, atol=0.1)
    torch.testing.assert_close(logits, _merged_logits(tiny_base, weights), rtol=1e-3, atol=1e-3)


def test_the_files_are_described_as_they_lie_in_the_store(
    tiny_base: LoadedBase, object_store: ObjectStore
) -> None:
    prefix = "export/described/step-000012/"

    files = _save(object_store, random_adapter(tiny_base), tiny_base, prefix)

    assert sorted(object_store.list_keys(prefix)) == sorted(prefix + file.name for file in files)
    for file in files:
        content = object_store.get_bytes(prefix + file.name)
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_same_weights_are_saved_as_the_same_bytes(
    tiny_base: LoadedBase, object_store: ObjectStore
) -> None:
    first = _save(object_store, random_adapter(tiny_base), tiny_base, "export/first/")
    second = _save(object_store, random_adapter(tiny_base), tiny_base, "export/second/")

    assert first == second


def test_target_modules_are_short_where_that_is_unambiguous(tiny_base: LoadedBase) -> None:
    every_layer = random_adapter(tiny_base, only="v_proj").modules
    one_layer = random_adapter(tiny_base, only="layers.1.self_attn.v_proj").modules

    assert target_modules(every_layer, tiny_base.model) == ["v_proj"]
    assert target_modules(one_layer, tiny_base.model) == ["model.layers.1.self_attn.v_proj"]


def test_the_configuration_is_one_that_is_served(
    tiny_base: LoadedBase, object_store: ObjectStore
) -> None:
    tuning = LoraTuning(rank=4, alpha=8.5, dropout=0.05, use_rslora=True)
    _save(object_store, random_adapter(tiny_base, tuning=tuning), tiny_base, "export/config/")

    content = object_store.get_bytes("export/config/adapter/adapter_config.json")

    parsed = parse_lora_config(content)
    assert parsed.model_copy(update={"target_modules": "all-linear"}) == tuning
    config = json.loads(content)
    assert config["task_type"] == "CAUSAL_LM"
    assert config["base_model_name_or_path"] == "tiny"


def test_the_model_card_names_base_job_and_step(
    tiny_base: LoadedBase, object_store: ObjectStore
) -> None:
    _save(object_store, random_adapter(tiny_base), tiny_base, "export/card/")

    card = object_store.get_bytes("export/card/adapter/README.md").decode()

    assert card.startswith('---\nbase_model: "tiny"\nlibrary_name: peft\n')
    assert "`ftjob-1` after optimizer step 12" in card


def test_a_state_comes_back_with_its_numbers(object_store: ObjectStore) -> None:
    buffer = torch.arange(6.0)
    moments = {"first": buffer[:3], "second": buffer[3:], "turned": torch.arange(6.0).view(2, 3).T}

    files = ObjectStoreSink(object_store).store_state("export/s/", moments, {"step": "12"})

    assert [file.name for file in files] == ["state/state.json", "state/state.safetensors"]
    loaded = load(object_store.get_bytes("export/s/state/state.safetensors"))
    assert all(torch.equal(loaded[name], moment) for name, moment in moments.items())
    assert json.loads(object_store.get_bytes("export/s/state/state.json")) == {"step": "12"}
