"""Loopback ports that nothing listens on."""

import random
import socket

GRPC_OFFSET = 10_000
"""SeaweedFS opens each of its ports a second time, this much higher, for gRPC."""


def free_port() -> int:
    """Chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_port_pairs(number: int) -> list[int]:
    """Distinct ports p of which p + 10,000 is free too.

    Drawn at random below the kernel's own range (32,768 and up), so that no outgoing connection
    takes one between this check and the server's bind.
    """
    chosen: list[int] = []
    while len(chosen) < number:
        port = random.randrange(12_000, 22_000)
        if port not in chosen and _is_free(port) and _is_free(port + GRPC_OFFSET):
            chosen.append(port)
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
