"""Where training sessions are saved: PEFT files and optimizer states in the object store."""

from service.engine.export.sink import ObjectStoreSink

__all__ = ["ObjectStoreSink"]
