"""Served heads: rows in, a head's numbers out, computed by the step loop."""

from service.engine.classification.queue import ClassificationQueue

__all__ = ["ClassificationQueue"]
