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
from tunery._types.classify import Classification, Classified
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
    Verification,
    VerificationResult,
    VerifiedMember,
    VerifiedStep,
    VerifiedWeights,
)
from tunery._types.records import JobMetrics, JobRows, MetricPoint, Receipt, RowLosses
from tunery._types.reports import (
    Cut,
    FileReport,
    FileReportResult,
    Finding,
    FindingCount,
    Preview,
    PreviewRow,
    PreviewSequence,
)
from tunery._types.uploads import FilePart, FileUpload

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
    "Classification",
    "Classified",
    "Cut",
    "Deleted",
    "ExportResult",
    "File",
    "FilePart",
    "FileReport",
    "FileReportResult",
    "FileUpload",
    "Finding",
    "FindingCount",
    "FineTuningJob",
    "ImportResult",
    "JobError",
    "JobEvent",
    "JobMetrics",
    "JobProgress",
    "JobRows",
    "Listed",
    "MetricPoint",
    "Model",
    "ModelAlias",
    "ModelExport",
    "ModelImport",
    "Operation",
    "Page",
    "Preview",
    "PreviewRow",
    "PreviewSequence",
    "Receipt",
    "RowLosses",
    "Usage",
    "Verification",
    "VerificationResult",
    "VerifiedMember",
    "VerifiedStep",
    "VerifiedWeights",
]
