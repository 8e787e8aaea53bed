"""Running the dashboard: a socket of its own, an address to print, and an end on a signal."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sovereign.core.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sovereign.app.configuration import Settings
    from sovereign.app.dashboard.configuration import DashboardConfig

_BACKLOG = 64
_NICE = 5


def open_socket(config: DashboardConfig) -> socket.socket:
    """Open the port.

    Raises
    ------
    ConfigurationError : it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as cause:
        raise ConfigurationError(
            f"the dashboard could not listen on {config.host}:{config.port} ({cause.strerror}); give another --port, or 0 for "
            f"any that is free"
        ) from cause
    return listening


def address_of(listening: socket.socket, config: DashboardConfig) -> str:
    """Return the address to open in a browser."""
    port = listening.getsockname()[1]
    host = config.host if config.host not in ("0.0.0.0", "::") else socket.gethostname()  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def yield_to_trading() -> None:
    """Let trading processes of this machine go first."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)


def serve(
    app: FastAPI,
    listening: socket.socket,
    stop: threading.Event | None = None,
    on_up: Callable[[], object] = lambda: None,
) -> None:
    """Answer until SIGINT or SIGTERM, or until `stop` is set (then in any thread); `on_up` is called when it answers."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,  # each page would be compressed for anew: 25 of them take more of a core than all else
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        timeout_graceful_shutdown=3,
        limit_concurrency=500,
        proxy_headers=False,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_up()

    server = Server(config)
    if stop is None:
        server.run(sockets=[listening])
        return
    watching = threading.Thread(target=_end_when, args=(stop, server), name="dashboard-stop", daemon=True)
    watching.start()
    server.run(sockets=[listening])


def _end_when(stop: threading.Event, server: object) -> None:
    stop.wait()
    server.should_exit = True  # type: ignore[attr-defined]


@contextlib.contextmanager
def quiet_logs(settings: Settings) -> Iterator[None]:
    """Log as every process of the platform does, secrets masked."""
    from sovereign.app.ops.log import configure_logging
    from sovereign.app.ops.redaction import redactor_for

    log = configure_logging(settings.log, redactor_for(settings))
    logging.getLogger("uvicorn").propagate = True
    try:
        yield
    finally:
        log.close()
