"""Verifying a job: its first steps once more, set against what it has told and stored."""
