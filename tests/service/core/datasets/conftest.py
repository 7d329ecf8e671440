"""A base's text, without a model."""

from pathlib import Path

import pytest

from service.core.text import TextAssets, TextCodec
from tests.tiny_base import write_tokenizer


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> TextAssets:
    """One token a byte, ChatML."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return TextAssets.from_pretrained_folder(folder)


@pytest.fixture(scope="session")
def codec(assets: TextAssets) -> TextCodec:
    return TextCodec(assets)
