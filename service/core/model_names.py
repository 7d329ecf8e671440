"""Which names models may have."""

RESERVED = ("aliases", "imports")
"""Routes below /v1/models."""
MAX_CHARACTERS = 256


def is_reserved(name: str) -> bool:
    """Whether the name is one of a route, or below it."""
    return name.partition("/")[0] in RESERVED
