"""What the server answers; one module a resource."""

from tunery._types.base import APIObject, Deleted, Listed, Page
from tunery._types.chat import (
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    Usage,
)
from tunery._types.files import File
from tunery._types.jobs import (
    Checkpoint,
    CheckpointMetrics,
    FineTuningJob,
    JobError,
    JobEvent,
    JobProgress,
)
from tunery._types.models import Model, ModelAlias

__all__ = [
    "APIObject",
    "ChatChoice",
    "ChatChunkChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatDelta",
    "ChatMessage",
    "Checkpoint",
    "CheckpointMetrics",
    "Deleted",
    "File",
    "FineTuningJob",
    "JobError",
    "JobEvent",
    "JobProgress",
    "Listed",
    "Model",
    "ModelAlias",
    "Page",
    "Usage",
]
