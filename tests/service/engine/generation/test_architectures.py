"""The generic path serves what transformers computes, or refuses the base at once."""

from collections.abc import Mapping

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from service.core.errors import ConfigurationError
from service.engine.runner import BaseRunner
from tests.service.engine.generation_calls import Connection
from tests.service.engine.peft_oracle import greedy
from tests.service.engine.real_engine import as_base, running_engine

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


SUPPORTED: Mapping[str, Mapping[str, object]] = {
    "mistral": {"sliding_window": 6},
    "gemma2": {"sliding_window": 6, "head_dim": 8},  # soft caps, every second layer a window
    "qwen3": {"head_dim": 8},
    "granite": {"logits_scaling": 3.0},
}
REFUSED: Mapping[str, Mapping[str, object]] = {
    "bloom": {"n_head": 4},  # attention of its own
    "gpt_oss": {"head_dim": 8, "num_local_experts": 4},  # attention sinks
    "llama": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
}


def build(architecture: str, options: Mapping[str, object]) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **{**SIZES, **options})
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    model.requires_grad_(False)
    model.eval()
    return model


@pytest.mark.parametrize("architecture", SUPPORTED)
def test_greedy_tokens_are_those_of_transformers(architecture: str) -> None:
    model = build(architecture, SUPPORTED[architecture])
    prompts = [[5, 6, 7], list(range(10, 40))]
    expected = [greedy(model, prompt, 20) for prompt in prompts]
    with running_engine(model=model) as engine:
        connection = Connection(engine)
        for index, prompt in enumerate(prompts):
            connection.start(str(index), prompt, max_tokens=20)
        answers = connection.wait_all()

    assert [answer.tokens for answer in answers] == expected


@pytest.mark.parametrize("architecture", REFUSED)
def test_what_is_not_computed_right_is_refused_at_once(architecture: str) -> None:
    with pytest.raises(ConfigurationError, match="not supported"):
        BaseRunner(as_base(build(architecture, REFUSED[architecture])))
