"""A port for a server that may end and begin again, or that another process opens."""

import random
import socket

FIRST, LAST = 10_000, 32_000  # below the ports that systems give to clients: Linux's begin at 32768


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at, and that no client gets as its own while its server is away."""
    for _ in range(100):
        port = random.randint(FIRST, LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port was found")
