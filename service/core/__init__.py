"""The shared kernel: everything api, jobs and engine agree on. No torch, no FastAPI."""
