"""A whole model as a plain Hugging Face folder: what `from_pretrained` loads without us."""

import json
from collections.abc import Iterable, Iterator

import torch
from safetensors.torch import save

from service.core.text import TextAssets
from service.engine.export.parameters import merged_parameters
from service.engine.parts import DeltaWeights, LoadedBase

SHARD_BYTES = 4 * 1024**3
"""Of one safetensors file; no more is held in memory at once."""
_FORMAT = {"format": "pt"}
"""Which library's tensors these are; transformers refuses a file that does not say so."""


def hugging_face_files(
    base: LoadedBase, delta: DeltaWeights, *, shard_bytes: int = SHARD_BYTES
) -> Iterator[tuple[str, bytes]]:
    """Names and contents, one at a time: weights with the delta merged in, in the base's number
    format, configuration, and the base's tokenizer and chat template. A head is left out: the
    folder is the language model."""
    config = base.model.config.to_dict()
    config["dtype"] = str(base.dtype).removeprefix("torch.")
    yield "config.json", _json(config)
    generation = getattr(base.model, "generation_config", None)
    if generation is not None:
        yield "generation_config.json", _json(generation.to_dict())
    if base.text is not None:
        yield from _tokenizer_files(base.text, base.context_length)
    places: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(_shards(merged_parameters(base, delta), shard_bytes), 1):
        name = f"model-{number:05d}.safetensors"
        places |= dict.fromkeys(shard, name)
        total += sum(tensor.nbytes for tensor in shard.values())
        yield name, save(shard, metadata=_FORMAT)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    yield "model.safetensors.index.json", _json(index)


def _tokenizer_files(text: TextAssets, context_length: int) -> Iterator[tuple[str, bytes]]:
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "add_bos_token": text.add_bos,
        **text.special_tokens,
    }
    yield "tokenizer.json", text.tokenizer_json.encode()
    yield "tokenizer_config.json", _json(config)
    if text.chat_template is not None:
        yield "chat_template.jinja", text.chat_template.encode()


def _shards(
    parameters: Iterable[tuple[str, torch.Tensor]], shard_bytes: int
) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in parameters:
        if shard and size + tensor.nbytes > shard_bytes:
            yield shard
            shard, size = {}, 0
        # A copy, because fused layers' weights are views of one tensor, which safetensors refuses.
        shard[name] = tensor.cpu().clone().contiguous()
        size += tensor.nbytes
    yield shard


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False).encode()
