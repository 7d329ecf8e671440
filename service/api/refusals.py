"""What OpenAI's API takes and this does not: a closed list, each refused by its name."""

from collections.abc import Mapping

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

UNSUPPORTED = "unsupported_parameter"
"""Kind of a validation error that says of itself why a value is not taken."""

REASONS: dict[str, str] = {
    "audio": "Models here answer in text only.",
    "modalities": "Models here answer in text only.",
    "moderation": "Nothing here moderates.",
    "prediction": "Predicted output makes nothing faster here; leave it out.",
    "service_tier": "There is one tier: leave it out, or say 'auto' or 'default'.",
    "suffix": "Models here continue a text; they do not fill a gap before a suffix.",
    "verbosity": "Ask for short or long answers in the messages.",
    "web_search_options": "Models here do not search the web.",
}
"""By parameter; what is not listed is not known at all."""


def without(harmless: Mapping[str, tuple[object, ...]], body: object) -> object:
    """The body less the members whose value asks for nothing."""
    if not isinstance(body, dict):
        return body
    return {
        name: value
        for name, value in body.items()
        if not (name in harmless and value in harmless[name])
    }


def refusing(reasons: Mapping[str, str]) -> BeforeValidator:
    """Refuses values that are known and not done here, with the reason."""

    def refuse(value: object) -> object:
        if isinstance(value, str) and value in reasons:
            raise PydanticCustomError(UNSUPPORTED, "{reason}", {"reason": reasons[value]})
        return value

    return BeforeValidator(refuse)
