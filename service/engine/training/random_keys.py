"""Every random number of a job is a function of (seed, step, purpose, line)."""

import hashlib

import torch


def generator(
    seed: int, *, step: int, purpose: str, line: int, device: torch.device
) -> torch.Generator:
    """A generator that depends on its key alone."""
    key = f"{purpose}:{seed}:{step}:{line}".encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
    return torch.Generator(device=device).manual_seed(number)
