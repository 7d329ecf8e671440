"""An organisation at a server that speaks the OpenAI API and behaves as badly as servers do."""

from tests.fakes.openai_source.organization import (
    BASE,
    FIRST_MODEL,
    SECOND_MODEL,
    Organization,
    acme,
)
from tests.fakes.openai_source.server import SOURCE_KEY, RunningSource, running_source

__all__ = [
    "BASE",
    "FIRST_MODEL",
    "SECOND_MODEL",
    "SOURCE_KEY",
    "Organization",
    "RunningSource",
    "acme",
    "running_source",
]
