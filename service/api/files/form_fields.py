"""The short fields beside an uploaded file."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.core.domain.files import UPLOAD_PURPOSES, FilePurpose
from service.core.errors import InvalidRequest, MissingParameter, UnsupportedParameter

SHORTEST_LIFE_SECONDS = 3600
LONGEST_LIFE_SECONDS = 2_592_000

_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_KNOWN = ("purpose", _ANCHOR, _SECONDS)


@dataclass(frozen=True)
class FileFields:
    """What a caller says of a file."""

    purpose: FilePurpose
    seconds: int | None
    """Life time; None is for ever."""


def read_fields(fields: Mapping[str, str]) -> FileFields:
    """Raises MissingParameter, InvalidRequest, and UnsupportedParameter for any other field."""
    for name in fields:
        if name not in _KNOWN:
            param = name.partition("[")[0]
            raise UnsupportedParameter(f"Unsupported parameter: '{param}'.", param=param)
    if "purpose" not in fields:
        raise MissingParameter("Missing required parameter: 'purpose'.", param="purpose")
    return FileFields(read_purpose(fields["purpose"]), _seconds(fields))


def read_purpose(given: str) -> FilePurpose:
    """Raises InvalidRequest for one that no upload may have."""
    if given not in UPLOAD_PURPOSES:
        known = ", ".join(sorted(UPLOAD_PURPOSES))
        raise InvalidRequest(
            f"Invalid value for 'purpose': {given!r} is none of {known}.", param="purpose"
        )
    return FilePurpose(given)


def _seconds(fields: Mapping[str, str]) -> int | None:
    if _ANCHOR not in fields and _SECONDS not in fields:
        return None
    if fields.get(_ANCHOR) != "created_at":
        raise InvalidRequest(
            "Invalid value for 'expires_after[anchor]': it must be created_at.",
            param="expires_after[anchor]",
        )
    given = fields.get(_SECONDS, "")
    seconds = int(given) if given.isascii() and given.isdecimal() else 0
    if not SHORTEST_LIFE_SECONDS <= seconds <= LONGEST_LIFE_SECONDS:
        raise InvalidRequest(
            "Invalid value for 'expires_after[seconds]': it must be a whole number from "
            f"{SHORTEST_LIFE_SECONDS} to {LONGEST_LIFE_SECONDS}.",
            param="expires_after[seconds]",
        )
    return seconds
