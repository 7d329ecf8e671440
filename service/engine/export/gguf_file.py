"""A merged model as one GGUF file, for llama.cpp and its relatives.

Weights in 16 bits, one-dimensional ones in 32, as llama.cpp's own converter writes them. Written
for bases of the Llama architecture whose tokenizer is a byte-level BPE.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig

from service.core.errors import ExportRefused
from service.engine.bases.gguf import PRE_TOKENIZERS
from service.engine.export.merging import (
    Merge,
    check_touched,
    merged_tensors,
    sixteen_bits,
    stored_files,
)

FILE_NAME = "model.gguf"
_LLAMA_LIKE = ("llama", "mistral")
_RAW_TYPES = {
    torch.float16: gguf.GGMLQuantizationType.F16,
    torch.bfloat16: gguf.GGMLQuantizationType.BF16,
}
_FILE_TYPES = {
    torch.float16: gguf.LlamaFileType.MOSTLY_F16,
    torch.bfloat16: gguf.LlamaFileType.MOSTLY_BF16,
}


def check_gguf(base: Path) -> None:
    """Raises ExportRefused, naming what such a file could not hold."""
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    if config.model_type not in _LLAMA_LIKE:
        raise ExportRefused(
            f"gguf is written for the architectures {', '.join(_LLAMA_LIKE)}, and this base is "
            f"{config.model_type}; export as merged and convert that with llama.cpp"
        )
    rope = config.rope_parameters.get("rope_type", "default")
    if rope != "default" or getattr(config, "sliding_window", None):
        raise ExportRefused(
            f"this base has positions of the type {rope!r} or a sliding window, which are not "
            "written as gguf; export as merged and convert that with llama.cpp"
        )
    pre_tokenizer_name(base)


def pre_tokenizer_name(base: Path) -> str:
    """llama.cpp's name for the way in which this tokenizer splits text. Raises ExportRefused."""
    content = json.loads((base / "tokenizer.json").read_text())
    if content["model"].get("type") == "BPE":
        for name, make in PRE_TOKENIZERS.items():
            known = Tokenizer.from_file(str(base / "tokenizer.json"))
            known.pre_tokenizer = make()
            if json.loads(known.to_str())["pre_tokenizer"] == content.get("pre_tokenizer"):
                return name
    raise ExportRefused(
        f"gguf is written for tokenizers that split text like {', '.join(PRE_TOKENIZERS)}, and "
        "this base's does not; export as merged and convert that with llama.cpp"
    )


def write_gguf(base: Path, merge: Merge, folder: Path) -> torch.dtype:
    """Write `model.gguf`; returns the format of its weights. Raises ExportRefused."""
    check_gguf(base)
    check_touched(base, merge)
    for dtype in sixteen_bits(base):
        if _write(base, merge, folder / FILE_NAME, dtype):
            return dtype
    raise ExportRefused("a merged weight is too large for 16 bits; export as peft instead")


def _write(base: Path, merge: Merge, path: Path, dtype: torch.dtype) -> bool:
    """False when a number is too large for `dtype`."""
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    # Tensors wait in a temporary file: the header, which comes first, needs all their sizes.
    writer = gguf.GGUFWriter(path, "llama", use_temp_file=True)
    _add_config(writer, config)
    writer.add_file_type(_FILE_TYPES[dtype])
    _add_tokenizer(writer, base, config.vocab_size)
    if not _add_tensors(writer, base, merge, config, dtype):
        return False
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return True


def _add_config(writer: gguf.GGUFWriter, config: Any) -> None:
    head_size = getattr(config, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: gguf.GGUFWriter, base: Path, size: int) -> None:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    texts = {token_id: text for text, token_id in tokenizer.get_vocab().items()}
    added = tokenizer.get_added_tokens_decoder()
    types = []
    for token_id in range(size):
        if token_id not in texts:
            types.append(gguf.TokenType.UNUSED)
        elif token_id not in added:
            types.append(gguf.TokenType.NORMAL)
        elif added[token_id].special:
            types.append(gguf.TokenType.CONTROL)
        else:
            types.append(gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_name(base))
    writer.add_token_list([texts.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types(types)
    special = gguf.SpecialVocab(base, load_merges=True, n_vocab=size)
    special.add_to_gguf(writer, quiet=True)
    beside = base / "chat_template.jinja"
    if special.chat_template is None and beside.is_file():
        writer.add_chat_template(beside.read_text("utf-8"))


def _add_tensors(
    writer: gguf.GGUFWriter, base: Path, merge: Merge, config: Any, dtype: torch.dtype
) -> bool:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for file in stored_files(base):
        for name, tensor in merged_tensors(file, merge):
            target = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if target is None:
                raise ExportRefused(f"gguf has no name for the tensor {name!r}")
            weight = tensor.float()
            part = target.split(".")[-2]
            if part in heads:
                weight = _interleaved(weight, heads[part])
            if weight.dim() == 1:
                writer.add_tensor(target, weight.numpy())
                continue
            if weight.abs().max() > torch.finfo(dtype).max:
                return False
            packed = gguf.quantize(weight.contiguous().numpy(), _RAW_TYPES[dtype])
            writer.add_tensor(target, packed, raw_dtype=_RAW_TYPES[dtype])
    return True


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """The format keeps each head's rotary halves interleaved."""
    rows = weight.shape[0]
    parts = weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:])
    return parts.transpose(1, 2).reshape(weight.shape)
