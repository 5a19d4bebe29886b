"""Run an ASGI app on uvicorn with uvloop and httptools, without access logs (they cost more than the call)."""

from typing import Any

import uvicorn


def serve(app: Any, host: str, port: int, *, grace_s: int = 30) -> None:
    """Serve until SIGTERM or SIGINT; then stop accepting and give open responses `grace_s` to end."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
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
