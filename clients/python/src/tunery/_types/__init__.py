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
from tunery._types.operations import (
    ExportResult,
    ImportResult,
    ModelExport,
    ModelImport,
    Operation,
)

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
    "ExportResult",
    "File",
    "FineTuningJob",
    "ImportResult",
    "JobError",
    "JobEvent",
    "JobProgress",
    "Listed",
    "Model",
    "ModelAlias",
    "ModelExport",
    "ModelImport",
    "Operation",
    "Page",
    "Usage",
]
