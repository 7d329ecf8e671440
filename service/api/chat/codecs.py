"""The text codec of each base, built once a process."""

import threading
from pathlib import Path

from service.core.domain.models import Base
from service.core.errors import EngineUnavailable
from service.core.storage import ObjectNotFound, ObjectStore
from service.core.text import TextCodec
from service.core.text_assets import load_text_assets


class CodecCache:
    """Codecs by base digest. Thread-safe; an operator's bases are few, so none is let go."""

    def __init__(self, store: ObjectStore, cache_dir: Path) -> None:
        self._store = store
        self._cache_dir = cache_dir
        self._codecs: dict[str, TextCodec] = {}
        self._lock = threading.Lock()

    def get(self, base: Base) -> TextCodec:
        """Blocks at a base's first request. Raises StorageUnavailable, EngineUnavailable."""
        codec = self._codecs.get(base.digest)
        if codec is not None:
            return codec
        with self._lock:  # building takes a second: requests that come together build it once
            if base.digest not in self._codecs:
                self._codecs[base.digest] = self._build(base)
            return self._codecs[base.digest]

    def _build(self, base: Base) -> TextCodec:
        try:
            return TextCodec(load_text_assets(self._store, base, self._cache_dir))
        except ObjectNotFound as error:
            raise EngineUnavailable(f"no engine has published the text of {base.name!r}") from error
