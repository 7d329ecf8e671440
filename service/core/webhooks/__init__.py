"""Webhooks on their way out: signed as Standard Webhooks, sent to checked addresses only."""
