"""A model folder on its device: eval mode, no gradients, safetensors only, no network."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

from service.core import object_keys
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.core.text import TextAssets
from service.engine.bases.device import choose_device, choose_dtype
from service.engine.bases.prepare import PreparedBase, prepare_base
from service.engine.parts import LoadedBase

logger = logging.getLogger(__name__)


def load_base(name: str, source: str, settings: Settings) -> LoadedBase:
    """The base `name` of the allow-list. Raises ConfigurationError naming a broken source."""
    return load_prepared(name, prepare_base(source, settings), settings)


def load_prepared(name: str, prepared: PreparedBase, settings: Settings) -> LoadedBase:
    """Raises ConfigurationError for a folder that does not load whole."""
    started = time.monotonic()
    device = choose_device(settings.engine_device)
    dtype = choose_dtype(settings.engine_dtype, device)
    model = _load_model(prepared.folder, dtype)
    torch.nn.Module.to(model, device).requires_grad_(False)
    model.eval()  # type: ignore[no-untyped-call]
    _check_vocabulary(prepared.folder, model)
    logger.info("loaded %s, %s on %s, in %.1f s", name, dtype, device, time.monotonic() - started)
    return LoadedBase(
        name=name,
        digest=prepared.digest,
        text_key=object_keys.base_text_key(prepared.digest),
        dtype=dtype,
        device=device,
        context_length=_context_length(prepared.folder, model),
        model=model,
        text=TextAssets.from_pretrained_folder(prepared.folder),
        folder=prepared.folder,
    )


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises whatever its layers raise
        raise ConfigurationError(
            f"base model folder {folder} does not load ({type(error).__name__}: {error})"
        ) from error
    model, loading = loaded
    # transformers fills a missing weight with random numbers and goes on.
    absent = sorted([*loading["missing_keys"], *map(str, loading["mismatched_keys"])])
    if absent:
        raise ConfigurationError(
            f"base model folder {folder} lacks {len(absent)} of the model's weights, "
            f"the first is {absent[0]}; copy it again"
        )
    assert isinstance(model, PreTrainedModel)
    return model


def _check_vocabulary(folder: Path, model: PreTrainedModel) -> None:
    """A token without an embedding would end the step loop, not a request."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ConfigurationError(f"base model folder {folder} has no tokenizer.json")
    content = json.loads(tokenizer.read_text())
    added = [token["id"] for token in content.get("added_tokens", ())]
    vocabulary = content["model"].get("vocab", {})
    known = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    highest = max((*added, *known), default=-1)
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Embedding)
    rows = embeddings.num_embeddings
    if highest >= rows:
        raise ConfigurationError(
            f"base model folder {folder}: the tokenizer has token {highest}, "
            f"the model embeds {rows} tokens; the two do not belong together"
        )


def _context_length(folder: Path, model: PreTrainedModel) -> int:
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(length, int):
        raise ConfigurationError(
            f"{folder / 'config.json'} names no max_position_embeddings, so the context is unknown"
        )
    return length
