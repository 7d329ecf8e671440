"""Verifications of finished jobs."""
