"""`python -m tt_sandbox.provider`: serves the sandbox provider until SIGTERM."""

import uvicorn

from tt_sandbox.provider.app import SandboxProvider
from tt_sandbox.provider.settings import SandboxSettings

# Longer than any client pool keeps an idle connection, so that the server never closes one that is about to be used.
KEEP_ALIVE_TIMEOUT_S = 120
SHUTDOWN_TIMEOUT_S = 2
BACKLOG = 4096


def main() -> None:
    """Runs until stopped; streams still open after `SHUTDOWN_TIMEOUT_S` are cut."""
    settings = SandboxSettings()
    uvicorn.run(
        SandboxProvider(),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT_S,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )


if __name__ == "__main__":
    main()
