"""The default base, real: converted once a machine in the user's own cache."""

import torch
from transformers import AutoTokenizer

from service.core.settings import Settings
from service.core.text import TextAssets
from service.engine.bases import load_prepared, prepare_base

SOURCE = Settings().bases["smollm2-135m-instruct"]


def test_it_answers_a_simple_question() -> None:
    prepared = prepare_base(SOURCE, Settings())
    base = load_prepared("smollm2-135m-instruct", prepared, Settings())
    tokenizer = AutoTokenizer.from_pretrained(prepared.folder)
    question = [{"role": "user", "content": "What is the capital of France?"}]

    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    tokens = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    with torch.inference_mode():
        answer = base.model.generate(tokens, max_new_tokens=20, do_sample=False)

    assert "Paris" in tokenizer.decode(answer[0, tokens.shape[1] :])
    assert base.context_length == 8192


def test_its_text_assets_are_complete() -> None:
    assets = TextAssets.from_pretrained_folder(prepare_base(SOURCE, Settings()).folder)

    assert assets.chat_template is not None
    assert "<|im_start|>" in assets.chat_template
    assert assets.special_tokens["eos_token"] == "<|im_end|>"
    assert assets.eos_token_ids == (2,)
    assert not assets.add_bos


def test_its_tokens_are_those_of_the_file() -> None:
    """Cut by llama.cpp, which reads the file's own rules."""
    folder = prepare_base(SOURCE, Settings()).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)

    for text, tokens in {
        "   1": ["ĠĠĠ", "1"],
        "\t\t½": ["ĉĉ", "Â½"],
        "In 2024,  I'll": ["In", "Ġ", "2", "0", "2", "4", ",", "Ġ", "ĠI", "'ll"],
    }.items():
        assert tokenizer.tokenize(text) == tokens
