"""Whether a job can report where it is asked to."""

from collections.abc import Sequence

from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.integrations import WandbIntegration
from service.core.errors import IntegrationUnavailable
from service.core.repositories.integrations import IntegrationRepository
from service.core.settings import WandbMode


def check_integrations(
    connection: Connection, scope: Scope, wanted: Sequence[WandbIntegration], *, mode: WandbMode
) -> None:
    """Raises IntegrationUnavailable. Whether a worker has the package, its validation finds out."""
    if not wanted:
        return
    if mode == "off":
        raise IntegrationUnavailable(
            "This server reports to no W&B: its operator has turned it off (TUNERY_WANDB_MODE).",
            param="integrations",
        )
    if mode == "online" and IntegrationRepository(connection, scope).find("wandb") is None:
        raise IntegrationUnavailable(
            "The project has no W&B API key yet; store it with POST /v1/integrations/wandb.",
            param="integrations",
        )
