"""What leaves an engine: the saves of training sessions, and whole models as files."""

from service.engine.export.exports import Exports
from service.engine.export.sink import ObjectStoreSink

__all__ = ["Exports", "ObjectStoreSink"]
