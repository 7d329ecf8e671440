"""Classification: planned in a thread, computed by an engine, counted."""

from anyio.to_thread import run_sync

from service.api.classify.planning import ClassifyPlanner
from service.api.classify.requests import Classify
from service.api.classify.schemas import (
    ClassificationList,
    ClassificationUsage,
    to_classifications,
)
from service.core.domain.access import Principal
from service.core.engine_client import ClassificationClient
from service.core.rate_limits import RateLimits


class ClassifyService:
    """Answers with labels, probabilities and scores."""

    def __init__(
        self, planner: ClassifyPlanner, client: ClassificationClient, rate_limits: RateLimits
    ) -> None:
        self._planner = planner
        self._client = client
        self._rate_limits = rate_limits

    async def classify(self, principal: Principal, body: Classify) -> ClassificationList:
        """Raises what `ClassifyPlanner.plan` and the engine raise."""
        plan = await run_sync(self._planner.plan, principal, body)
        found = await self._client.classify(plan.engine_url, plan.request)
        await run_sync(self._rate_limits.spend, principal.scope.project_id, plan.tokens)
        return ClassificationList(
            data=to_classifications(found),
            model=body.model,
            usage=ClassificationUsage(prompt_tokens=plan.tokens, total_tokens=plan.tokens),
        )
