"""What api and workers need to turn text into this base's tokens."""

from service.core import object_keys
from service.core.storage import ObjectStore
from service.core.text import TextAssets
from service.engine.bases.prepare import PreparedBase


def publish_text_assets(prepared: PreparedBase, store: ObjectStore) -> None:
    """Write the base's TextAssets under its key. Every engine of the base writes the same bytes.

    Raises ConfigurationError for a folder without tokenizer, StorageUnavailable.
    """
    assets = TextAssets.from_pretrained_folder(prepared.folder)
    store.put_bytes(object_keys.base_text_key(prepared.digest), assets.to_json().encode())
