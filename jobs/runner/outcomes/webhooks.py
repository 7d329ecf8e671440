"""Webhook deliveries: only a silent worker ends an attempt; the tries have a schedule of their
own."""

from jobs.runner.outcomes.base import Outcomes


class WebhookOutcomes(Outcomes):
    """However often a worker dies of it, a delivery is tried again."""

    def may_end(self, *_: object) -> bool:
        return False
