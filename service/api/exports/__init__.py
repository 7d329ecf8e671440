"""Exports: tuned models as files."""
