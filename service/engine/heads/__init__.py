"""Heads: fully connected layers in fp32 on hidden states, for training and serving alike."""

from service.engine.heads.head import Head, HeadTensors
from service.engine.heads.pooling import pool, pooled_places, pooled_tokens

__all__ = ["Head", "HeadTensors", "pool", "pooled_places", "pooled_tokens"]
