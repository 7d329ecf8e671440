"""Whether the process lives, and whether the whole service is ready."""
