"""The tokenizer of each embedding model, built once a process."""

import threading
from pathlib import Path

from service.core.domain.models import EmbeddingModel
from service.core.errors import EngineUnavailable
from service.core.storage import ObjectNotFound, ObjectStore
from service.core.text import EmbeddingCodec
from service.core.text_assets import load_text_assets


class EmbeddingCodecCache:
    """Codecs by digest. Thread-safe; an operator's models are few, so none is let go."""

    def __init__(self, store: ObjectStore, cache_dir: Path) -> None:
        self._store = store
        self._cache_dir = cache_dir
        self._codecs: dict[str, EmbeddingCodec] = {}
        self._lock = threading.Lock()

    def get(self, model: EmbeddingModel) -> EmbeddingCodec:
        """Blocks at a model's first request. Raises StorageUnavailable, EngineUnavailable."""
        with self._lock:
            if model.digest not in self._codecs:
                self._codecs[model.digest] = self._build(model)
            return self._codecs[model.digest]

    def _build(self, model: EmbeddingModel) -> EmbeddingCodec:
        try:
            return EmbeddingCodec(load_text_assets(self._store, model, self._cache_dir))
        except ObjectNotFound as error:
            raise EngineUnavailable(f"no engine has published the text of {model.name}") from error
