"""A base's text is fetched once a machine."""

from pathlib import Path

import pytest

from service.core.domain.models import Base
from service.core.object_keys import base_text_key
from service.core.storage import ObjectNotFound, ObjectStore
from service.core.text import TextAssets
from service.core.text_assets import load_text_assets
from tests.tiny_base import write_tokenizer


def base(digest: str) -> Base:
    return Base("tiny", digest, base_text_key(digest), 1024, 1000, 0.0, 0)


def test_what_an_engine_published_is_read_once(object_store: ObjectStore, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "base")
    assets = TextAssets.from_pretrained_folder(tmp_path / "base")
    published = base("published")
    object_store.put_bytes(published.text_key, assets.to_json().encode())

    first = load_text_assets(object_store, published, tmp_path / "cache")
    object_store.delete(published.text_key)
    second = load_text_assets(object_store, published, tmp_path / "cache")

    assert first == second == assets


def test_a_base_that_no_engine_published_is_not_found(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(ObjectNotFound):
        load_text_assets(object_store, base("unpublished"), tmp_path)
