"""What a migration has done so far, in a file beside its data. It saves calls; without it a rerun
finds everything again at the target."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunery._exceptions import ConfigurationError

_NAME = "state.json"


@dataclass
class State:
    """Ids of the target by those of the source; a job by how it was made, too."""

    source: str
    target: str
    """Base URLs; a folder belongs to one pair of servers."""
    files: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Aliases that were set, and what they mean."""


class StateFile:
    """Keeps a `State`; `save` is whole or has not happened."""

    def __init__(self, folder: Path, *, source: str, target: str, writes: bool = True) -> None:
        """Raises ConfigurationError for the folder of another migration, or one unreadable."""
        self._path = folder / _NAME
        self._writes = writes
        if writes:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold people's data
        self.state = self._load() or State(source, target)
        if (self.state.source, self.state.target) != (source, target):
            raise ConfigurationError(
                f"{folder} belongs to a migration from {self.state.source} to {self.state.target}; "
                "name another folder with --workdir"
            )

    def save(self) -> None:
        if not self._writes:
            return
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(asdict(self.state), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _load(self) -> State | None:
        try:
            members: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
            return State(**members)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ConfigurationError(
                f"{self._path} cannot be read; delete it, and nothing is lost: what was carried "
                "over is found again"
            ) from None
