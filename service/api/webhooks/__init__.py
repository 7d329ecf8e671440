"""Webhook endpoints of a project, and the log of what was delivered to them."""
