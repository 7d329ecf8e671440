"""What is served of peft's configuration, and that nothing else is silently ignored."""

import json
from typing import Any

import pytest
from peft import LoraConfig

from service.core.adapters.lora_config import parse_lora_config, scaling_of
from service.core.engine_protocol import LoraTuning
from service.core.errors import AdapterCorrupt, UnsupportedParameter


def _content(**fields: Any) -> bytes:
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]).to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    return json.dumps(config | fields).encode()


def test_what_peft_writes_is_understood() -> None:
    tuning = parse_lora_config(_content(lora_dropout=0.1))

    expected = LoraTuning(rank=8, alpha=16, dropout=0.1, target_modules=("q_proj", "v_proj"))
    assert tuning == expected
    assert scaling_of(tuning) == 2


def test_rank_stabilised_scaling_divides_by_the_root() -> None:
    assert scaling_of(parse_lora_config(_content(r=16, use_rslora=True))) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bias", "all"),
        ("lora_bias", True),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"q_proj": 4}),
        ("alpha_pattern", {"q_proj": 4}),
        ("fan_in_fan_out", True),
        ("init_lora_weights", "pissa"),
        ("layer_replication", [[0, 1]]),
        ("trainable_token_indices", [1]),
        ("target_parameters", ["weight"]),
        ("peft_type", "IA3"),
        ("something_of_next_year", True),
    ],
)
def test_what_would_change_the_result_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse_lora_config(_content(**{name: value}))

    assert caught.value.param == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        _content(r=0),
        _content(r="many"),
        _content(r=10**6),
        _content(lora_alpha=-1),
        _content(target_modules=[1, "a"]),
    ],
)
def test_what_is_no_configuration_is_corrupt(content: bytes) -> None:
    with pytest.raises(AdapterCorrupt):
        parse_lora_config(content)
