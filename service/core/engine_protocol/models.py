"""What both halves of the protocol share: how a model and a failure are named."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A protocol message: frozen, and an unknown field is an error rather than a silent loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeltaRef(Message):
    """A stored difference from a base: an adapter, an overlay or a head."""

    id: str
    """Opaque cache identity; never a public model name, which may change its meaning."""
    key: str
    """S3 prefix under which `manifest.json` and its files lie."""
    digest: str
    """sha256 of the manifest, hex. What is loaded must match it."""


class ModelRef(Message):
    """What answers or is trained on: a resident base, with at most one delta on top."""

    base: str
    delta: DeltaRef | None = None


class ErrorBody(Message):
    """A ServiceError on the internal wire."""

    code: str
    message: str
    param: str | None = None
