"""Served heads: rows in, a head's numbers out, computed by the step loop."""

from service.engine.classification.queue import ClassificationQueue
from service.engine.classification.readers import BaseReader, EmbedderReader

__all__ = ["BaseReader", "ClassificationQueue", "EmbedderReader"]
