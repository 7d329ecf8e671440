"""What makes an overlay of every weight a plain Hugging Face folder, without a second copy of it.

The index names `overlay.safetensors` as the file of each weight, so `from_pretrained` loads the
folder by itself.
"""

import json

from service.core.text import TextAssets
from service.engine.parts import LoadedBase, OverlayWeights

OVERLAY_NAME = "overlay.safetensors"


def is_whole(overlay: OverlayWeights, base: LoadedBase) -> bool:
    """Whether it replaces every weight of the base."""
    return overlay.tensors.keys() == {name for name, _ in base.model.named_parameters()}


def hugging_face_files(overlay: OverlayWeights, base: LoadedBase) -> dict[str, bytes]:
    """Index, configuration, and the base's tokenizer and chat template, by name."""
    config = base.model.config.to_dict()
    config["dtype"] = str(base.dtype).removeprefix("torch.")
    index = {
        "metadata": {"total_size": overlay.nbytes},
        "weight_map": dict.fromkeys(overlay.tensors, OVERLAY_NAME),
    }
    files = {"config.json": _json(config), "model.safetensors.index.json": _json(index)}
    generation = getattr(base.model, "generation_config", None)
    if generation is not None:
        files["generation_config.json"] = _json(generation.to_dict())
    if base.text is not None:
        files |= _tokenizer_files(base.text, base.context_length)
    return files


def _tokenizer_files(text: TextAssets, context_length: int) -> dict[str, bytes]:
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "add_bos_token": text.add_bos,
        **text.special_tokens,
    }
    files = {
        "tokenizer.json": text.tokenizer_json.encode(),
        "tokenizer_config.json": _json(config),
    }
    if text.chat_template is not None:
        files["chat_template.jinja"] = text.chat_template.encode()
    return files


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False).encode()
