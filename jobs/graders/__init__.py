"""Grading within a job: from many samples to many rewards, at once."""
