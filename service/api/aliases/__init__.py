"""Further names for models."""
