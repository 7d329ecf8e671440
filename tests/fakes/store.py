"""An object store in memory, whose clock a test turns."""

from dataclasses import dataclass, field

from service.core.storage import ListedObject, ObjectNotFound


@dataclass
class MemoryStore:
    """The part of `ObjectStore` that collecting and keeping need."""

    now: float = 1_000_000.0
    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def put_bytes(self, key: str, content: bytes) -> None:
        self.objects[key] = (content, self.now)

    def get_bytes(self, key: str) -> bytes:
        if key not in self.objects:
            raise ObjectNotFound(f"no object {key!r}")
        return self.objects[key][0]

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def list_objects(self, prefix: str, *, after: str = "", limit: int) -> list[ListedObject]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return [
            ListedObject(key, len(self.objects[key][0]), self.objects[key][1])
            for key in keys[:limit]
        ]

    def abort_uploads(self, prefix: str, *, begun_before: float = float("inf")) -> None:
        """Nothing is ever begun here."""
