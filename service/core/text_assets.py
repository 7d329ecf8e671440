"""Fetches a base's TextAssets from the object store, once a machine."""

import os
import tempfile
from pathlib import Path

from service.core.domain.models import Base
from service.core.storage import ObjectStore
from service.core.text import TextAssets


def load_text_assets(store: ObjectStore, base: Base, cache_dir: Path) -> TextAssets:
    """The base's tokenizer and template, from the disk cache if there.

    Raises StorageUnavailable, and ObjectNotFound when no engine has published the base yet.
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
