"""Loopback ports that nothing listens on."""

import errno
import random
import socket

GRPC_OFFSET = 10_000
"""SeaweedFS opens each of its ports a second time, this much higher, for gRPC."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind it. Raises OSError for an address that is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
                raise
            return False
    return True


def is_free_pair(port: int) -> bool:
    return is_free(port) and is_free(port + GRPC_OFFSET)


def free_port_pairs(number: int) -> list[int]:
    """Distinct ports p of which p + 10,000 is free too.

    Drawn at random below the kernel's own range (32,768 and up), so that no outgoing connection
    takes one between this check and the server's bind.
    """
    chosen: list[int] = []
    while len(chosen) < number:
        port = random.randrange(12_000, 22_000)
        if port not in chosen and is_free_pair(port):
            chosen.append(port)
    return chosen
