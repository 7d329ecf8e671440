"""What an engine has measured of itself, from which the api tells what a job will take."""

from pydantic import Field

from service.core.engine_protocol.models import Message


class Law(Message):
    """A linear law that was fitted to what the engine has measured."""

    coefficients: tuple[float, ...]
    """Of the law's features, as `service.core.estimates.laws` names them."""
    spread: float = Field(ge=0)
    """Nine of ten measurements lie within this share of what the law says."""
    observations: int = Field(ge=0)


class NamedShape(Message):
    """A tensor or linear layer; those that recur in every layer are told once."""

    name: str
    """`{}` stands for the layer's number where `count` is not 0."""
    count: int = Field(ge=0)
    """Layers 0 to count − 1 have it; 0: it is there once, under exactly this name."""
    shape: tuple[int, ...]


class ModelShapes(Message):
    """Sizes of a base, as far as a job's memory and work depend on them."""

    parameters: tuple[NamedShape, ...]
    linears: tuple[NamedShape, ...]
    """(out, in) of what an adapter may sit on."""
    layers: tuple[int, ...]
    """Parameters of each decoder layer; empty where they are not to be told apart."""
    behind: tuple[NamedShape, ...]
    """What `last_n_layers` trains beside them: the last norm, and a head of its own."""
    hidden: int
    vocabulary: int
    element_bytes: int
    """Of a weight of the base."""


class Calibration(Message):
    """What a base takes on this engine's device."""

    base: str
    digest: str
    """Of the base; a calibration of other weights says nothing."""
    device: str
    laws: dict[str, Law]
    """By name, as in `service.core.estimates.laws`; what was never measured is missing."""
    resident_bytes: int = Field(ge=0)
    """Memory of the engine while no training session is open."""
    micro_batch_tokens: int
    shapes: ModelShapes
