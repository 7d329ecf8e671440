"""How our own processes call the public API for a project, without a key of that project."""

PROJECT_HEADER = "x-tunery-project"
"""Names the project. Taken only with the internal token in the place of a key, so that a header
alone opens nothing."""
