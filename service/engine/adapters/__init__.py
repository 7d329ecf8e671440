"""The adapter store: RAM over disk over S3, every byte checked against the digest."""

from service.engine.adapters.disk import AdapterDisk
from service.engine.adapters.shapes import linear_shapes
from service.engine.adapters.store import AdapterStore

__all__ = ["AdapterDisk", "AdapterStore", "linear_shapes"]
