"""Embeddings over the wire: rows of token ids in, one vector a row out."""

import base64
from array import array
from collections.abc import Sequence

from pydantic import Field

from service.core.engine_protocol.models import Message


class EmbedderState(Message):
    """A resident embedding model."""

    name: str
    digest: str
    text_key: str
    """S3 key of its `TextAssets` JSON."""
    context_length: int
    """Tokens of one row, special ones included."""
    dimensions: int


class EmbedRequest(Message):
    """Rows to be embedded, special tokens included."""

    model: str
    rows: tuple[tuple[int, ...], ...] = Field(min_length=1)


class Embedded(Message):
    """One vector a row, in the order of the rows."""

    vectors: tuple[str, ...]
    """Each the base64 of little-endian fp32."""


def pack_vector(values: Sequence[float]) -> str:
    """Exact for fp32 values."""
    return base64.b64encode(array("f", values).tobytes()).decode("ascii")


def unpack_vector(packed: str) -> list[float]:
    return array("f", base64.b64decode(packed)).tolist()
