"""GGUF files become model folders once a machine, whoever starts and whatever was left behind."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.engine.bases import PreparedBase, prepare_base
from tests.tiny_gguf import write_tiny_gguf

_PREPARE = """
import sys
from pathlib import Path
from service.core.settings import Settings
from service.engine.bases import prepare_base
print(prepare_base(sys.argv[1], Settings(cache_dir=Path(sys.argv[2]))).folder)
"""


def _prepare(source: Path, cache: Path) -> PreparedBase:
    return prepare_base(str(source), Settings(cache_dir=cache))


def test_the_converted_weights_are_those_of_the_file(
    tiny_folder: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    folder = _prepare(tiny_gguf, tmp_path).folder

    original = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    converted = AutoModelForCausalLM.from_pretrained(folder)
    expected = dict(original.named_parameters())
    assert converted.dtype == torch.bfloat16
    assert not hasattr(converted.config, "quantization_config")
    for name, parameter in converted.named_parameters():
        assert torch.equal(parameter, expected.pop(name))
    assert not expected


def test_the_converted_tokenizer_splits_digits_as_the_file_says(
    tiny_gguf: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """With the vocabulary's pair of spaces, which a split in gpt-2's manner would never use."""
    plain = write_tiny_gguf(tmp_path / "plain.gguf", tiny_folder, pre_tokenizer="gpt-2")

    digits_apart = AutoTokenizer.from_pretrained(_prepare(tiny_gguf, tmp_path).folder)
    digits_with_space = AutoTokenizer.from_pretrained(_prepare(plain, tmp_path).folder)

    assert digits_apart.tokenize("  1 the") == ["ĠĠ", "1", "Ġ", "the"]
    assert digits_with_space.tokenize("  1 the") == ["Ġ", "Ġ", "1", "Ġ", "the"]
    assert digits_apart.chat_template == AutoTokenizer.from_pretrained(tiny_folder).chat_template


def test_a_second_start_finds_the_folder(tiny_gguf: Path, tmp_path: Path) -> None:
    first = _prepare(tiny_gguf, tmp_path)
    written = (first.folder / "model.safetensors").stat()

    assert _prepare(tiny_gguf, tmp_path) == first
    assert (first.folder / "model.safetensors").stat() == written


def test_two_processes_at_once_end_with_one_good_folder(tiny_gguf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PREPARE, str(tiny_gguf), str(tmp_path)]

    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate()[0].strip() for process in processes}

    assert [process.returncode for process in processes] == [0, 0]
    assert len(folders) == 1
    assert {entry.name for entry in (tmp_path / "bases").iterdir() if entry.is_dir()} == {
        Path(folders.pop()).name
    }


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_cache_that_lost_something_is_filled_again(
    damage: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    prepared = _prepare(tiny_gguf, tmp_path)
    weights = prepared.folder / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "short":
        weights.write_bytes(content[:-1])

    assert _prepare(tiny_gguf, tmp_path) == prepared
    assert weights.read_bytes() == content


def test_what_a_killed_conversion_left_is_removed(tiny_gguf: Path, tmp_path: Path) -> None:
    digest = _prepare(tiny_gguf, tmp_path / "other").digest
    remains = tmp_path / "bases" / f".{digest}.killed"
    remains.mkdir(parents=True)

    _prepare(tiny_gguf, tmp_path)

    assert not remains.exists()


@pytest.mark.parametrize("keep", [100, 0.5])
def test_a_broken_file_is_named_and_leaves_nothing(
    keep: float, tiny_gguf: Path, tmp_path: Path
) -> None:
    content = tiny_gguf.read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])

    with pytest.raises(ConfigurationError, match=r"broken\.gguf"):
        _prepare(broken, tmp_path)

    assert not [entry for entry in (tmp_path / "bases").iterdir() if entry.is_dir()]


def test_a_file_that_splits_text_in_an_unknown_manner_is_refused(
    tiny_folder: Path, tmp_path: Path
) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf", tiny_folder, pre_tokenizer="tekken")

    with pytest.raises(ConfigurationError, match="tekken"):
        _prepare(other, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tiny_gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigurationError, match="TUNERY_CACHE_DIR"):
        _prepare(tiny_gguf, file)
