"""Logits of whole rows for comparing models with each other."""

from service.engine.probing.comparing import compare
from service.engine.probing.queue import LogitQueue
from service.engine.probing.rows import Arithmetic, LogitRows, check_rows

__all__ = ["Arithmetic", "LogitQueue", "LogitRows", "check_rows", "compare"]
