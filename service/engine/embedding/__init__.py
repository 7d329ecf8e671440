"""Embedding models: loaded beside the bases, computed by the step loop."""

from service.engine.embedding.embedder import LoadedEmbedder
from service.engine.embedding.load import load_embedder, prepare_embedder
from service.engine.embedding.queue import EmbeddingQueue

__all__ = ["EmbeddingQueue", "LoadedEmbedder", "load_embedder", "prepare_embedder"]
