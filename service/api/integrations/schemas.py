"""Wire shapes of integrations' keys."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.wire import Answer, RequestBody
from service.core.domain.integrations import IntegrationSecret, IntegrationType


class PutIntegration(RequestBody):
    """A key to be stored."""

    api_key: Annotated[str, Field(min_length=8, max_length=256, pattern=r"^[!-~]+$")]


class IntegrationObject(Answer):
    """That there is a key; the key itself is not shown."""

    object: Literal["integration"] = "integration"
    type: IntegrationType
    created_at: int
    api_key_hint: str

    @classmethod
    def from_domain(cls, secret: IntegrationSecret) -> "IntegrationObject":
        return cls(type=secret.type, created_at=int(secret.created_at), api_key_hint=secret.hint)


class IntegrationDeleted(Answer):
    """The key is gone."""

    object: Literal["integration.deleted"] = "integration.deleted"
    type: IntegrationType
    deleted: Literal[True] = True
