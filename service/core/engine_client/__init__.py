"""How api and workers speak to an engine. No torch."""

from service.core.engine_client.classification import ClassificationClient
from service.core.engine_client.embedding import EmbeddingClient
from service.core.engine_client.generation import GenerationClient
from service.core.engine_client.training import TrainingClient

__all__ = ["ClassificationClient", "EmbeddingClient", "GenerationClient", "TrainingClient"]
