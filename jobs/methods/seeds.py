"""Seeds for every purpose out of the job's one."""

import hashlib


def derived_seed(purpose: str, *numbers: int) -> int:
    """64 bits that depend on all that is given and on nothing else."""
    text = ":".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
