"""A codec and transformers' tokenizer of the same base, for each template family."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from service.core.text import TextAssets, TextCodec
from tests.service.core.text.families import FAMILIES, Family
from tests.tiny_base import write_tokenizer


@dataclass(frozen=True)
class Base:
    """One base's text, ours and the oracle's."""

    family: Family
    codec: TextCodec
    oracle: PreTrainedTokenizerFast


def make_base(family: Family, folder: Path, *, chat_template: str | None = None) -> Base:
    write_tokenizer(
        folder,
        special=family.special,
        chat_template=chat_template or family.template,
        bos_token=family.bos_token,
        eos_token=family.eos_token,
    )
    oracle = PreTrainedTokenizerFast.from_pretrained(folder)
    oracle.chat_control_tokens = []  # besides the special tokens, like ours
    return Base(family, TextCodec(TextAssets.from_pretrained_folder(folder)), oracle)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """By family name."""
    folder = tmp_path_factory.mktemp("families")
    return {family.name: make_base(family, folder / family.name) for family in FAMILIES}


@pytest.fixture(scope="session", params=[family.name for family in FAMILIES])
def base(request: pytest.FixtureRequest, bases: dict[str, Base]) -> Base:
    """Each family in turn."""
    return bases[request.param]
