"""The bases' text codecs. Building one takes half a second, so the parent builds what it can and
every horse inherits it.
"""

from pathlib import Path

from service.core.domain.models import Base
from service.core.storage import ObjectStore
from service.core.text import TextCodec
from service.core.text_assets import cached_text_assets, load_text_assets

_INHERITED = 4
"""Bases whose codecs the parent builds: those that were new to this machine last."""


class Codecs:
    """By base digest. Not thread-safe."""

    def __init__(self, store: ObjectStore, cache_dir: Path) -> None:
        self._store = store
        self._cache_dir = cache_dir
        self._codecs: dict[str, TextCodec] = {}

    def preload(self) -> None:
        """Build those whose assets lie on this machine's disk; sends no request."""
        for digest, assets in cached_text_assets(self._cache_dir, limit=_INHERITED):
            self._codecs[digest] = TextCodec(assets)

    def of(self, base: Base) -> TextCodec:
        """Raises StorageUnavailable, and ObjectNotFound before an engine has published the text."""
        if base.digest not in self._codecs:
            assets = load_text_assets(self._store, base, self._cache_dir)
            self._codecs[base.digest] = TextCodec(assets)
        return self._codecs[base.digest]
