"""Every random number of a job is a function of (seed, step, purpose, line)."""

import hashlib

import torch


def key_number(seed: int, *, step: int, purpose: str, line: int, index: int | None = None) -> int:
    """63 bits that depend on the key alone. `index`: of several draws for one line."""
    parts = (purpose, seed, step, line) if index is None else (purpose, seed, step, line, index)
    key = ":".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def generator(
    seed: int, *, step: int, purpose: str, line: int, device: torch.device
) -> torch.Generator:
    """A generator that depends on its key alone."""
    number = key_number(seed, step=step, purpose=purpose, line=line)
    return torch.Generator(device=device).manual_seed(number)
