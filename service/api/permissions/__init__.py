"""Permissions of other projects to use a tuned model or checkpoint."""
