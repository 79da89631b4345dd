"""The API as a process: binds, says where, serves until told to stop. The app itself is `app`."""

import socket
from collections.abc import Callable

import uvicorn

from huntaze_pipeline.api import app
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.settings import Settings

DRAIN_S = 10
CONCURRENT = 500
"""Requests at once; more are answered 503 and may be tried again."""


def serve(settings: Settings, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished.

    `announce` is told the address as soon as connections are taken.

    Raises:
        ServiceError: the address is taken or not ours.
    """
    listener = bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app.create(settings),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        limit_concurrency=CONCURRENT,
    )
    announce(f"http://{shown}:{listener.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listener])


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; connections wait in it until the server takes them.

    Raises:
        ServiceError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ServiceError(
            f"cannot listen on {host}:{port}: {error}; choose another with --port"
        ) from None
    return listener
