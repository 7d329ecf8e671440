"""The internal language between api, workers and engines: typed messages, no torch.

Training speaks HTTP (sessions and commands, `training`), serving one WebSocket per api process
(`generation`), and each engine posts its `state`. Token ids only; text never crosses.

| call | message | answer |
|---|---|---|
| `POST /sessions` | OpenSession | SessionOpened |
| `POST /sessions/{id}/commands` | CommandBatch | CommandsAccepted |
| `GET /sessions/{id}/results?after=&wait=` | – | ResultBatch (long poll; also the session's beat) |
| `DELETE /sessions/{id}` | – | – |
| `POST /embed` | EmbedRequest | Embedded |
| `GET /bases/{name}/shapes` | – | BaseShapes |
| `POST /probe` | ProbeRequest | Probed |
| `POST /exports` | ExportRequest | ExportState |
| `GET /exports/{id}` | – | ExportState |
| `DELETE /exports/{id}` | – | – |
| `POST /classify` | ClassifyRequest | Classified |
| `WS /generate` | AddRequest, AbortRequest | StepFrame |
| `GET /state` | – | EngineState |
| `PUT {api}/internal/engines/{id}` | EngineState | – |

Every call carries `Authorization: Bearer <internal token>`. Errors are `ErrorBody`; `code` names
a class of `service.core.errors`; `failures` turns one into the other.
"""

from service.core.engine_protocol.artefacts import (
    MAX_PROBED_TOKENS,
    BaseShapes,
    Comparison,
    Dialogue,
    ExportFormat,
    ExportRequest,
    ExportState,
    Probed,
    ProbeRequest,
)
from service.core.engine_protocol.calibration import (
    Calibration,
    Law,
    ModelShapes,
    NamedShape,
)
from service.core.engine_protocol.classification import Classified, ClassifyRequest
from service.core.engine_protocol.embedding import (
    Embedded,
    EmbedderState,
    EmbedRequest,
    pack_vector,
    unpack_vector,
)
from service.core.engine_protocol.failures import to_body, to_error
from service.core.engine_protocol.generation import (
    MAX_TOP_LOGPROBS,
    AbortRequest,
    AddRequest,
    ClientFrame,
    FinishedStream,
    FinishReason,
    Guide,
    Sampling,
    StepFrame,
    StreamTokens,
    TokenLogprob,
)
from service.core.engine_protocol.losses import (
    BradleyTerry,
    Classification,
    CrossEntropy,
    Dpo,
    Extras,
    Ipo,
    LabelExtras,
    Loss,
    PairExtras,
    Policy,
    PolicyExtras,
    SimPo,
)
from service.core.engine_protocol.models import DeltaRef, ErrorBody, Message, ModelRef
from service.core.engine_protocol.state import BaseState, EngineRole, EngineState
from service.core.engine_protocol.training import (
    Command,
    CommandBatch,
    CommandFailed,
    CommandsAccepted,
    Forward,
    ForwardBackward,
    ForwardDone,
    OpenSession,
    OptimStep,
    OptimStepDone,
    Report,
    Result,
    ResultBatch,
    ResumePoint,
    RowLoss,
    Sample,
    SampledAnswer,
    SampleDone,
    SamplePrompt,
    Save,
    SaveSnapshotTaken,
    SaveStored,
    SessionOpened,
    StoredFile,
    TrainingRow,
)
from service.core.engine_protocol.tunings import (
    FullTuning,
    HeadSpec,
    HeadTuning,
    LoraTuning,
    PartialTuning,
    Tuning,
)

__all__ = [
    "MAX_PROBED_TOKENS",
    "MAX_TOP_LOGPROBS",
    "AbortRequest",
    "AddRequest",
    "BaseShapes",
    "BaseState",
    "BradleyTerry",
    "Calibration",
    "Classification",
    "Classified",
    "ClassifyRequest",
    "ClientFrame",
    "Command",
    "CommandBatch",
    "CommandFailed",
    "CommandsAccepted",
    "Comparison",
    "CrossEntropy",
    "DeltaRef",
    "Dialogue",
    "Dpo",
    "EmbedRequest",
    "Embedded",
    "EmbedderState",
    "EngineRole",
    "EngineState",
    "ErrorBody",
    "ExportFormat",
    "ExportRequest",
    "ExportState",
    "Extras",
    "FinishReason",
    "FinishedStream",
    "Forward",
    "ForwardBackward",
    "ForwardDone",
    "FullTuning",
    "Guide",
    "HeadSpec",
    "HeadTuning",
    "Ipo",
    "LabelExtras",
    "Law",
    "LoraTuning",
    "Loss",
    "Message",
    "ModelRef",
    "ModelShapes",
    "NamedShape",
    "OpenSession",
    "OptimStep",
    "OptimStepDone",
    "PairExtras",
    "PartialTuning",
    "Policy",
    "PolicyExtras",
    "ProbeRequest",
    "Probed",
    "Report",
    "Result",
    "ResultBatch",
    "ResumePoint",
    "RowLoss",
    "Sample",
    "SampleDone",
    "SamplePrompt",
    "SampledAnswer",
    "Sampling",
    "Save",
    "SaveSnapshotTaken",
    "SaveStored",
    "SessionOpened",
    "SimPo",
    "StepFrame",
    "StoredFile",
    "StreamTokens",
    "TokenLogprob",
    "TrainingRow",
    "Tuning",
    "pack_vector",
    "to_body",
    "to_error",
    "unpack_vector",
]
