"""The embedded stack: one process that starts, watches, restarts and stops all the others."""
