"""An embedding model out of its folder: safetensors only, pooling as the folder says."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel

from service.core import object_keys
from service.core.engine_protocol import EmbedderState
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.engine.bases import PreparedBase
from service.engine.bases.device import choose_device
from service.engine.bases.sources import FolderSource, digest_of, find_source
from service.engine.embedding.embedder import LoadedEmbedder

logger = logging.getLogger(__name__)

_RECIPE = "embedder-1"
_POOLING = Path("1_Pooling", "config.json")
_NORMALIZE = "sentence_transformers.models.Normalize"


def prepare_embedder(source: str) -> PreparedBase:
    """Raises ConfigurationError for a source that is missing or no folder of transformers."""
    found = find_source(source)
    if not isinstance(found, FolderSource):
        raise ConfigurationError(f"embedding model source {source!r} is no folder of transformers")
    pooling = found.path / _POOLING
    files = (*found.files, *([pooling] if pooling.is_file() else []))
    return PreparedBase(found.path, digest_of(files, _RECIPE))


def load_embedder(name: str, prepared: PreparedBase, settings: Settings) -> LoadedEmbedder:
    """In fp32: these models are small, and vectors are kept and compared for years.

    Raises ConfigurationError for a folder that does not load, or pools in another way.
    """
    started = time.monotonic()
    folder, device = prepared.folder, choose_device(settings.engine_device)
    model = _load_model(folder)
    torch.nn.Module.to(model, device).requires_grad_(False)
    model.eval()  # type: ignore[no-untyped-call]
    logger.info("loaded %s on %s in %.1f s", name, device, time.monotonic() - started)
    return LoadedEmbedder(
        state=EmbedderState(
            name=name,
            digest=prepared.digest,
            text_key=object_keys.base_text_key(prepared.digest),
            context_length=_context_length(folder, model),
            dimensions=int(model.config.hidden_size),
        ),
        device=device,
        model=model,
        pools_mean=_pools_mean(folder),
        normalizes=any(module.get("type") == _NORMALIZE for module in _modules(folder)),
    )


def _load_model(folder: Path) -> PreTrainedModel:
    try:
        model = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as error:  # transformers raises whatever its layers raise
        raise ConfigurationError(
            f"embedding model folder {folder} does not load ({type(error).__name__}: {error})"
        ) from error
    assert isinstance(model, PreTrainedModel)
    return model


def _modules(folder: Path) -> list[dict[str, Any]]:
    modules: list[dict[str, Any]] = _read(folder / "modules.json") or []
    return modules


def _pools_mean(folder: Path) -> bool:
    """Without a word from the folder, the mean, as most models do."""
    pooling = _read(folder / _POOLING) or {"pooling_mode_mean_tokens": True}
    modes = {name for name, is_on in pooling.items() if name.startswith("pooling_mode") and is_on}
    if modes == {"pooling_mode_mean_tokens"}:
        return True
    if modes == {"pooling_mode_cls_token"}:
        return False
    raise ConfigurationError(
        f"{folder / _POOLING} asks for {', '.join(sorted(modes)) or 'no pooling'}; only the mean "
        "of all tokens and the first token are computed"
    )


def _context_length(folder: Path, model: PreTrainedModel) -> int:
    """What the model's makers cut rows to, else what its positions hold."""
    limit = (_read(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    positions = getattr(model.config, "max_position_embeddings", None)
    lengths = [length for length in (limit, positions) if isinstance(length, int)]
    if not lengths:
        raise ConfigurationError(f"{folder} does not say how many tokens a row may have")
    return min(lengths)


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
