"""Data sets in other formats than JSONL, as JSONL: row N becomes line N, so that every check and
every message about a line holds for them too.
"""

from service.core.datasets.formats.detect import Format, detect_format
from service.core.datasets.formats.reading import UnreadableFile, as_jsonl
from service.core.datasets.formats.source import ByteSource

__all__ = ["ByteSource", "Format", "UnreadableFile", "as_jsonl", "detect_format"]
