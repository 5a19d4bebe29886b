"""Run an ASGI app on uvicorn with uvloop and httptools, without access logs (they cost more than the call)."""

import socket
import sys
from typing import Any, Final

import uvicorn

from tt_common.web.guarded_http import GuardedHttp
from tt_common.web.leaving import Leaving, LeavingServer

START_FAILED: Final = 3


def serve(
    app: Any,
    host: str,
    port: int,
    *,
    grace_s: int = 30,
    listener: socket.socket | None = None,
    leaving: Leaving | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then leave, stop accepting, give open responses `grace_s` to end. Exits with 3 where it can't start.

    With a `listener`, a bound socket, that one is served and closed in the end; `host` and `port` are then its own.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=GuardedHttp,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace_s,
        backlog=4096,
    )
    server = LeavingServer(config, leaving or Leaving(0.0))
    try:
        server.run(None if listener is None else [listener])
    except KeyboardInterrupt:
        pass  # uvicorn raises the signal again that it has obeyed
    if not server.started:
        sys.exit(START_FAILED)
