"""Wire shapes of embeddings."""

from typing import Literal

from service.api.wire import Answer


class Embedding(Answer):
    """One row's vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """A string is the base64 of little-endian fp32."""


class EmbeddingUsage(Answer):
    """Tokens, special ones included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Answer):
    """A vector for each row."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
