"""A base's text, without a model."""

from pathlib import Path

import pytest

from service.core.text import TextAssets, TextCodec
from tests.tiny_base import write_tokenizer


@pytest.fixture(scope="session")
def codec(tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    """One token a byte, ChatML."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return TextCodec(TextAssets.from_pretrained_folder(folder))
