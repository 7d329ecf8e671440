"""Attention over packed rows, registered with transformers under one name."""

from service.engine.attention.interface import (
    IMPLEMENTATION,
    AttentionOptions,
    PackedAttention,
    register,
)
from service.engine.attention.packed_rows import PackedRows
from service.engine.attention.row_layout import Bucket, RowLayout
from service.engine.attention.scores import attention, causal

__all__ = [
    "IMPLEMENTATION",
    "AttentionOptions",
    "Bucket",
    "PackedAttention",
    "PackedRows",
    "RowLayout",
    "attention",
    "causal",
    "register",
]
