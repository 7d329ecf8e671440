"""Completions: a text goes on, without a chat template."""
