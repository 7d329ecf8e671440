"""Fetches a base's TextAssets from the object store, once a machine."""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from service.core.domain.models import Base, EmbeddingModel
from service.core.storage import ObjectStore
from service.core.text import TextAssets

logger = logging.getLogger(__name__)


def load_text_assets(
    store: ObjectStore, base: Base | EmbeddingModel, cache_dir: Path
) -> TextAssets:
    """The model's tokenizer and template, from the disk cache if there.

    Raises StorageUnavailable, and ObjectNotFound when no engine has published the model yet.
    """
    cached = cache_dir / "text" / f"{base.digest}.json"
    if cached.is_file():
        return TextAssets.from_json(cached.read_text("utf-8"))
    content = store.get_bytes(base.text_key)
    assets = TextAssets.from_json(content.decode())
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as beside:
        beside.write(content)
    os.replace(beside.name, cached)  # written beside, so that no reader sees half a file
    return assets


def cached_text_assets(cache_dir: Path, *, limit: int) -> Iterator[tuple[str, TextAssets]]:
    """Base digests and their assets on this machine's disk, those fetched last first."""
    files = sorted(
        (cache_dir / "text").glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True
    )
    for file in files[:limit]:
        try:
            yield file.stem, TextAssets.from_json(file.read_text("utf-8"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s is no cached text of a base: %r", file, error)
