"""The tiny base as a GGUF file, as small as one gets: full precision, byte-level tokens."""

from pathlib import Path
from typing import Any

MERGES = ["Ġ Ġ", "t h", "th e"]


def write_tiny_gguf(path: Path, folder: Path, *, pre_tokenizer: str = "smollm") -> Path:
    """Write the model of `folder` (see `tests.tiny_base`) and a vocabulary with a few merges.
    Imports torch, so call it only in tests of the engine."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, folder, config.vocab_size, pre_tokenizer)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        target = names.get_name(name, try_suffixes=(".weight",))
        assert target is not None, name
        weight = parameter.detach().numpy()
        part = target.split(".")[-2]
        writer.add_tensor(target, _interleaved(weight, heads[part]) if part in heads else weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, folder: Path, size: int, pre_tokenizer: str) -> None:
    import gguf
    from tokenizers import Tokenizer

    from tests.tiny_base import CHATML

    by_id = {
        i: t for t, i in Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab().items()
    }
    tokens = [by_id[i] for i in range(size)]
    tokens[-len(MERGES) :] = [merge.replace(" ", "") for merge in MERGES]
    special, plain = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([special] * 3 + [plain] * (size - 3))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _interleaved(weight: Any, heads: int) -> Any:
    """The file keeps each head's rotary halves interleaved."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
