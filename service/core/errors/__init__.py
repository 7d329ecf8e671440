"""Every failure we raise on purpose, as one tree; `service/api/error_handlers.py` alone renders it.

ServiceError
├── InvalidRequest (400)
│   ├── MissingParameter · UnsupportedParameter · ContextLengthExceeded · InvalidCursor
│   ├── JobNotCancellable · JobNotPausable · JobNotResumable · UnknownFile
│   ├── InvalidTrainingFile (InvalidValidationFile) · InvalidHyperparameter · FileInUse
│   ├── OperationNotCancellable · InvalidAdapter · ExportRefused · VerificationRefused
│   ├── GraderUnavailable · IntegrationUnavailable
│   ├── BatchNotCancellable · UploadNotPending · UploadMismatch · ChecksumMismatch
│   ├── ChatTemplateError · TemplateNotPrefixStable
│   ├── LimitReached · EncryptionUnavailable · WebhookTestFailed · NameTaken · AliasCycle
│   └── InvalidIdempotencyKey · IdempotencyKeyReused
├── Unauthorized (401) · Forbidden (403)
├── NotFound (404)
│   └── ModelNotFound · FileNotFound · JobNotFound · PermissionNotFound · SessionNotFound ·
│       WebhookNotFound · CompletionNotFound · UploadNotFound · BatchNotFound ·
│       OperationNotFound · IntegrationNotFound · AliasNotFound
├── Conflict (409): SequenceGap · StaleEpoch · IdempotencyKeyInUse
├── PayloadTooLarge (413)
├── TooManyRequests (429): EngineOverloaded · RateLimitExceeded
├── TrainingFailed: NoTrainableTokens · TrainingDiverged · EngineCrashed · OutOfMemory ·
│   InfrastructureFailed
└── Unavailable (503): EngineUnavailable · DatabaseUnavailable · StorageUnavailable ·
    AdapterCorrupt · ExportLost · GraderUnreachable
├── TrainingFailed: NoTrainableTokens · StartModelGone · TrainingDiverged · EngineCrashed ·
│   OutOfMemory · InfrastructureFailed
└── Unavailable (503): EngineUnavailable · DatabaseUnavailable · StorageUnavailable ·
    AdapterCorrupt · ExportLost
AddressRefused, ConfigurationError: never reach a caller of the API

Rules for a new class: one sentence says when it is raised; picklable (`message`, `param` only);
`code` is what a program acts on, the message tells a person what to do next.
"""

from service.core.errors.base import (
    ConfigurationError,
    Conflict,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from service.core.errors.engine import (
    AdapterCorrupt,
    EngineOverloaded,
    EngineUnavailable,
    ExportLost,
    SequenceGap,
    SessionNotFound,
    StaleEpoch,
)
from service.core.errors.files import (
    ChecksumMismatch,
    FileInUse,
    FileNotFound,
    UnknownFile,
    UploadMismatch,
    UploadNotFound,
    UploadNotPending,
)
from service.core.errors.integrations import IntegrationNotFound, IntegrationUnavailable
from service.core.errors.jobs import (
    BatchNotCancellable,
    BatchNotFound,
    CompletionNotFound,
    GraderUnavailable,
    GraderUnreachable,
    InvalidHyperparameter,
    InvalidTrainingFile,
    InvalidTransition,
    InvalidValidationFile,
    JobNotCancellable,
    JobNotFound,
    JobNotPausable,
    JobNotResumable,
    PermissionNotFound,
    RecordNotFound,
)
from service.core.errors.models import AliasCycle, AliasNotFound, NameTaken
from service.core.errors.operations import (
    ExportRefused,
    InvalidAdapter,
    OperationNotCancellable,
    OperationNotFound,
    VerificationRefused,
)
from service.core.errors.parts import DatabaseUnavailable, StorageUnavailable
from service.core.errors.requests import (
    ChatTemplateError,
    ContextLengthExceeded,
    EncryptionUnavailable,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidIdempotencyKey,
    JobQuotaExceeded,
    LimitReached,
    MissingParameter,
    ModelNotFound,
    RateLimitExceeded,
    StorageQuotaExceeded,
    TemplateNotPrefixStable,
    UnsupportedParameter,
)
from service.core.errors.training import (
    EngineCrashed,
    InfrastructureFailed,
    NoTrainableTokens,
    OutOfMemory,
    StartModelGone,
    TrainingDiverged,
    TrainingFailed,
)
from service.core.errors.webhooks import AddressRefused, WebhookNotFound, WebhookTestFailed

__all__ = [
    "AdapterCorrupt",
    "AddressRefused",
    "AliasCycle",
    "AliasNotFound",
    "BatchNotCancellable",
    "BatchNotFound",
    "ChatTemplateError",
    "ChecksumMismatch",
    "CompletionNotFound",
    "ConfigurationError",
    "Conflict",
    "ContextLengthExceeded",
    "DatabaseUnavailable",
    "EncryptionUnavailable",
    "EngineCrashed",
    "EngineOverloaded",
    "EngineUnavailable",
    "ExportLost",
    "ExportRefused",
    "FileInUse",
    "FileNotFound",
    "Forbidden",
    "GraderUnavailable",
    "GraderUnreachable",
    "IdempotencyKeyInUse",
    "IdempotencyKeyReused",
    "InfrastructureFailed",
    "IntegrationNotFound",
    "IntegrationUnavailable",
    "InvalidAdapter",
    "InvalidCursor",
    "InvalidHyperparameter",
    "InvalidIdempotencyKey",
    "InvalidRequest",
    "InvalidTrainingFile",
    "InvalidTransition",
    "InvalidValidationFile",
    "JobNotCancellable",
    "JobNotFound",
    "JobNotPausable",
    "JobNotResumable",
    "JobQuotaExceeded",
    "LimitReached",
    "MethodNotAllowed",
    "MissingParameter",
    "ModelNotFound",
    "NameTaken",
    "NoTrainableTokens",
    "NotFound",
    "OperationNotCancellable",
    "OperationNotFound",
    "OutOfMemory",
    "PayloadTooLarge",
    "PermissionNotFound",
    "RateLimitExceeded",
    "RecordNotFound",
    "SequenceGap",
    "ServiceError",
    "SessionNotFound",
    "StaleEpoch",
    "StartModelGone",
    "StorageQuotaExceeded",
    "StorageUnavailable",
    "TemplateNotPrefixStable",
    "TooManyRequests",
    "TrainingDiverged",
    "TrainingFailed",
    "Unauthorized",
    "Unavailable",
    "UnknownFile",
    "UnsupportedParameter",
    "UploadMismatch",
    "UploadNotFound",
    "UploadNotPending",
    "VerificationRefused",
    "WebhookNotFound",
    "WebhookTestFailed",
]
