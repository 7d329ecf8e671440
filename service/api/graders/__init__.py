"""Graders, tried out on one sample."""
