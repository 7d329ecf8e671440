"""What a backup says of itself; written last, so that its existence means the backup is whole."""

import json
from dataclasses import asdict, dataclass

from service.core.errors import ServiceError


class BackupDamaged(ServiceError):
    """Something in a backup is missing or not what its record says."""

    code = "backup_damaged"


@dataclass(frozen=True)
class KeptObject:
    """An object of the service, or one of its own files, as the backup holds it."""

    sha256: str
    bytes: int
    stored_at: float = 0.0
    """By the object store's clock; with the size it tells whether a later backup must read it."""


@dataclass(frozen=True)
class BackupRecord:
    """One backup. Contents lie beside it under their sha256, shared with the other backups."""

    name: str
    """UTC, `20260131T120000Z`: names sort by time."""
    started_at: float
    database_kind: str
    """`sqlite` or `postgresql`."""
    database: KeptObject
    state: KeptObject | None
    """The secrets that `up` keeps in its data directory; None where the operator keeps them."""
    objects: dict[str, KeptObject]
    """By key."""
    vanished: tuple[str, ...]
    """Keys that the database named and the object store no longer had."""
    format: int = 1

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "BackupRecord":
        """Raises BackupDamaged."""
        try:
            fields = json.loads(content)
            if fields["format"] != 1:
                raise ValueError(f"format {fields['format']} is of a newer version")
            state = fields.pop("state")
            return cls(
                database=KeptObject(**fields.pop("database")),
                state=KeptObject(**state) if state else None,
                objects={key: KeptObject(**kept) for key, kept in fields.pop("objects").items()},
                vanished=tuple(fields.pop("vanished")),
                **fields,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BackupDamaged(f"The record of the backup cannot be read: {error}") from error
