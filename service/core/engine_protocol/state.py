"""What an engine tells the api about itself every two seconds."""

from enum import StrEnum

from service.core.engine_protocol.calibration import Calibration
from service.core.engine_protocol.embedding import EmbedderState
from service.core.engine_protocol.models import Message


class EngineRole(StrEnum):
    """What an engine accepts."""

    TRAIN = "train"
    SERVE = "serve"


class BaseState(Message):
    """A resident base model."""

    name: str
    digest: str
    """sha256 over source and conversion recipe, hex; adapters belong to a digest, not a name."""
    text_key: str
    """S3 key of the base's `TextAssets` JSON: tokenizer, chat template, end-of-turn ids."""
    context_length: int
    """Tokens, prompt and answer together."""
    parameters: int
    dtype: str


class EngineState(Message):
    """One engine, as of now. The receiver stamps the time."""

    id: str
    url: str
    pool: str
    roles: tuple[EngineRole, ...]
    bases: tuple[BaseState, ...]
    free_slots: int
    """Training sessions it could still open."""
    loaded_adapters: tuple[str, ...]
    """DeltaRef ids in memory, most recently used first."""
    active_streams: int
    embedders: tuple[EmbedderState, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    """One for each base that it has measured."""
