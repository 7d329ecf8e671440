"""How api and workers speak to an engine. No torch."""

from service.core.engine_client.artefacts import ArtefactClient
from service.core.engine_client.classification import ClassificationClient
from service.core.engine_client.embedding import EmbeddingClient
from service.core.engine_client.generation import GenerationClient
from service.core.engine_client.training import TrainingClient

__all__ = [
    "ArtefactClient",
    "ClassificationClient",
    "EmbeddingClient",
    "GenerationClient",
    "TrainingClient",
]
