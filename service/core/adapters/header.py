"""The header of a safetensors file, checked before any tensor is made of the bytes behind it.

Layout: 8 bytes little-endian length of the header, the header (JSON: name → dtype, shape,
data_offsets), then the tensors' bytes without a gap.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from service.core.errors import AdapterCorrupt

LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 16 * 1024**2
_ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_METADATA = "__metadata__"


@dataclass(frozen=True)
class TensorEntry:
    """One tensor, as the header declares it."""

    shape: tuple[int, ...]
    begin: int
    end: int


def header_end(start: bytes, total: int) -> int:
    """Where the tensors of a file of `total` bytes begin, by its first 8. Raises AdapterCorrupt
    for a header that does not fit."""
    size = int.from_bytes(start[:LENGTH_BYTES], "little")
    if total < LENGTH_BYTES or size > min(_MAX_HEADER_BYTES, total - LENGTH_BYTES):
        raise AdapterCorrupt(f"a safetensors header of {size} bytes does not fit the file")
    return LENGTH_BYTES + size


def read_header(content: bytes, *, total: int | None = None) -> dict[str, TensorEntry]:
    """The tensors by name. `content` is the file, or at least its header when `total` says how
    many bytes the file has.

    Raises AdapterCorrupt unless they are floats of at most 32 bits whose sizes are true to dtype
    and shape and fill the file exactly.
    """
    total = len(content) if total is None else total
    end = header_end(content, total)
    try:
        declared = json.loads(content[LENGTH_BYTES:end])
    except (ValueError, RecursionError) as error:
        raise AdapterCorrupt("the safetensors header is not JSON") from error
    if not isinstance(declared, dict):
        raise AdapterCorrupt("the safetensors header is not an object")
    entries = {name: _entry(name, fields) for name, fields in declared.items() if name != _METADATA}
    _check_layout(entries, total - end)
    return entries


def _entry(name: str, fields: Any) -> TensorEntry:
    try:
        element_bytes = _ELEMENT_BYTES[fields["dtype"]]
        shape = tuple(_natural(length) for length in fields["shape"])
        begin, end = map(_natural, fields["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterCorrupt(
            f"tensor {name!r}: dtype, shape or place is not one of an adapter"
        ) from error
    if end - begin != math.prod(shape) * element_bytes:
        raise AdapterCorrupt(f"tensor {name!r}: its bytes do not match its shape {shape}")
    return TensorEntry(shape, begin, end)


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no length")
    return value


def _check_layout(entries: dict[str, TensorEntry], total: int) -> None:
    """No gap to hide bytes in, no two tensors on the same bytes."""
    place = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != place:
            raise AdapterCorrupt(f"tensor {name!r} begins at {entry.begin} instead of {place}")
        place = entry.end
    if place != total:
        raise AdapterCorrupt(f"the file holds {total} bytes of tensors, its header {place}")
