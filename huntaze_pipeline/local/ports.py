"""TCP ports on the loopback: a free one, and whether somebody holds one. Nothing about servers."""

import socket

LOOPBACK = "127.0.0.1"


def free() -> int:
    """Return a port that is free now; the caller must cope with losing it before it binds."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def bindable(port: int) -> bool:
    """Say whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(preferred: int | None) -> int:
    """Return the preferred port when it is free, another one otherwise."""
    return preferred if preferred and bindable(preferred) else free()


def exchange(port: int, request: bytes, timeout_s: float = 1.0, host: str = LOOPBACK) -> bytes:
    """Send bytes to a local port and return the first answer, empty when there is none."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as peer:
            peer.sendall(request)
            return peer.recv(4096)
    except OSError:
        return b""
