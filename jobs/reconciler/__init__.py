"""Heals what was interrupted: rings that were lost, claims whose owner fell silent."""
