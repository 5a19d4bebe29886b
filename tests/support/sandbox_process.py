"""The sandbox provider as a process of its own, without a stack around it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.service import Service


@contextmanager
def sandbox_process(folder: Path) -> Iterator[Service]:
    """Starts it on a free port, its log in `folder`, and stops it at the end."""
    port = pick_free()
    service = Service(
        "sandbox",
        [sys.executable, "-m", "tt_sandbox.provider"],
        port,
        env=dict(os.environ) | {"SANDBOX_HOST": HOST, "SANDBOX_PORT": str(port)},
        log_path=folder / "sandbox.log",
        cwd=folder,
        pid_path=folder / "sandbox.pid",
    )
    service.start()
    try:
        yield service
    finally:
        service.stop()
