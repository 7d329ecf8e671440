"""No byte of a tensor is looked at before the header is proven to describe the file."""

import json
import struct
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from service.core.adapters.header import read_header
from service.core.errors import AdapterCorrupt


def _file(header: Any, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(dtype: str = "F32", shape: Any = (2,), place: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": place}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_safetensors_writes_is_read(dtype: torch.dtype) -> None:
    tensors = {"a": torch.zeros(2, 3, dtype=dtype), "b": torch.zeros(4, dtype=dtype)}

    entries = read_header(save(tensors, metadata={"format": "pt"}))

    assert {name: entry.shape for name, entry in entries.items()} == {"a": (2, 3), "b": (4,)}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01", id="shorter than its length"),
        pytest.param(_file({}, length=2**63), id="huge header"),
        pytest.param(_file({}, length=17 * 1024**2) + bytes(18 * 1024**2), id="large header"),
        pytest.param(_file(b"\xff\xfe"), id="not text"),
        pytest.param(_file(b"[" * 100_000), id="deep nesting"),
        pytest.param(_file([]), id="not an object"),
        pytest.param(_file({"a": 1}), id="not a tensor"),
        pytest.param(_file({"a": _tensor("F64", (1,))}, bytes(8)), id="wider dtype"),
        pytest.param(_file({"a": _tensor("I32")}, bytes(8)), id="integers"),
        pytest.param(_file({"a": _tensor(shape=(3,))}, bytes(8)), id="shape beyond the bytes"),
        pytest.param(_file({"a": _tensor(shape=(-2, -1))}, bytes(8)), id="negative shape"),
        pytest.param(_file({"a": _tensor(shape=(2.0,))}, bytes(8)), id="fractional shape"),
        pytest.param(_file({"a": _tensor(place=(0, 8))}, bytes(4)), id="truncated"),
        pytest.param(_file({"a": _tensor(place=(0, 8))}, bytes(9)), id="bytes after the end"),
        pytest.param(_file({"a": _tensor(place=(8, 16))}, bytes(16)), id="gap"),
        pytest.param(_file({"a": _tensor(), "b": _tensor()}, bytes(8)), id="overlap"),
        pytest.param(_file({"a": _tensor(place=(0, 8, 16))}, bytes(8)), id="three offsets"),
    ],
)
def test_a_header_that_is_not_true_is_refused(content: bytes) -> None:
    with pytest.raises(AdapterCorrupt):
        read_header(content)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(_file))
def test_arbitrary_bytes_end_in_one_way(content: bytes) -> None:
    try:
        entries = read_header(content)
    except AdapterCorrupt:
        return
    assert isinstance(entries, dict)
