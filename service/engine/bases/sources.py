"""What a source string names: a GGUF file shipped in a package, or a folder of transformers."""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.core.errors import ConfigurationError

PACKAGE_PREFIX = "package:"
_CHUNK_BYTES = 1024 * 1024
_MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")


@dataclass(frozen=True)
class GgufSource:
    """One quantised file; it is converted before use."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)


@dataclass(frozen=True)
class FolderSource:
    """A folder that transformers loads as it is."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Whatever can change what the model computes, and nothing else such as a README."""
        return tuple(sorted({f for kind in _MODEL_FILES for f in self.path.glob(kind)}))


Source = GgufSource | FolderSource


def find_source(source: str) -> Source:
    """Raises ConfigurationError, naming the source and the mend, for what is no base model."""
    if source.startswith(PACKAGE_PREFIX):
        return _inside_package(source)
    path = Path(source).expanduser()
    if path.is_dir():
        return _checked_folder(path)
    if path.suffix == ".gguf" and path.is_file():
        return GgufSource(path)
    raise ConfigurationError(
        f"base model source {source!r} is no folder and no .gguf file; "
        f"write `{PACKAGE_PREFIX}<import name>` for weights shipped in an installed package"
    )


def digest_of(files: Sequence[Path], recipe: str) -> str:
    """sha256, hex, over the recipe's version and each file's name, size and bytes."""
    digest = hashlib.sha256(recipe.encode())
    for file in files:
        digest.update(f"\n{file.name}\n{file.stat().st_size}\n".encode())
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _inside_package(source: str) -> Source:
    """Look into the package's folder without importing it: its code is not ours to run."""
    name = source.removeprefix(PACKAGE_PREFIX)
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f"base model source {source!r}: no package {name!r} is installed; "
            "install the distribution that ships it"
        )
    folder = Path(spec.submodule_search_locations[0])
    found = sorted(folder.rglob("*.gguf"))
    if len(found) == 1:
        return GgufSource(found[0])
    folders = {weights.parent for weights in folder.rglob("*.safetensors")}
    if not found and len(folders) == 1:
        return _checked_folder(folders.pop())
    if not found and (folder / "config.json").is_file():
        return _checked_folder(folder)
    raise ConfigurationError(
        f"base model source {source!r}: expected one .gguf file or a config.json in the package, "
        f"found {len(found)} .gguf files; name a file or folder instead"
    )


def _checked_folder(folder: Path) -> FolderSource:
    if not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"base model folder {folder} has no config.json: not in the format of transformers"
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigurationError(
            f"base model folder {folder} has no .safetensors file; pickled weights are never "
            "loaded, so save it again with safetensors"
        )
    return FolderSource(folder)
