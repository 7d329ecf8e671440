"""Reads what W&B's client has written offline: records of protobuf in blocks of a LevelDB log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as messages

_FILE_HEADER, _RECORD_HEADER, _BLOCK = 7, 7, 32 * 1024
_FULL, _LAST = 1, 4


@dataclass
class OfflineRun:
    """What one attempt has logged."""

    id: str = ""
    project: str = ""
    entity: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def read_runs(folder: Path) -> list[OfflineRun]:
    """Oldest first."""
    return [
        _read(path) for path in sorted(folder.rglob("*.wandb"), key=lambda p: p.stat().st_mtime)
    ]


def _read(path: Path) -> OfflineRun:
    found = OfflineRun()
    for content in _records(path.read_bytes()):
        record = messages.Record()
        record.ParseFromString(content)
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                found.id, found.project, found.entity = run.run_id, run.project, run.entity
                found.name, found.tags = run.display_name, tuple(run.tags)
                found.config |= {u.key: json.loads(u.value_json) for u in run.config.update}
            case "history":
                found.history.append(_items(record.history.item))
            case "summary":
                found.summary |= _items(record.summary.update)
            case "exit":
                found.exit_code = record.exit.exit_code
    return found


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(content: bytes) -> Iterator[bytes]:
    place, record = _FILE_HEADER, b""
    while place + _RECORD_HEADER <= len(content):
        if _BLOCK - place % _BLOCK < _RECORD_HEADER:  # no header begins in a block's last bytes
            place += _BLOCK - place % _BLOCK
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind = content[place + 6]
        place += _RECORD_HEADER
        record += content[place : place + length]
        place += length
        if kind in (_FULL, _LAST):
            yield record
            record = b""
