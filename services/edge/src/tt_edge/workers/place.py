"""A worker's place in its group: its number, its share of the port, and the line to the supervisor.

Invariant: a worker outlives its supervisor only for as long as its calls take: when the line breaks, it drains.
"""

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READY: Final = b"r"


@dataclass(frozen=True)
class Place:
    """Travels on the worker's command line; `line_fd` is inherited."""

    index: int
    workers: int
    line_fd: int
    sockets_dir: Path
    """Where each worker answers its siblings, see `siblings`."""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "Place | None":
        """None where the command line names no place: a process of its own. Exits with 2 for anything else."""
        parser = argparse.ArgumentParser(prog="python -m tt_edge", description="Settings come from EDGE_* variables.")
        parser.add_argument("--place", nargs=4, help=argparse.SUPPRESS)
        given: list[str] | None = parser.parse_args(arguments).place
        if given is None:
            return None
        *numbers, sockets_dir = given
        index, workers, line_fd = map(int, numbers)
        return cls(index, workers, line_fd, Path(sockets_dir))

    def arguments(self) -> list[str]:
        """What `from_arguments` reads."""
        numbers = (self.index, self.workers, self.line_fd)
        return ["--place", *map(str, numbers), str(self.sockets_dir)]

    def tell_ready(self) -> None:
        """Tells the supervisor that this worker serves, and drains when the supervisor is gone. In the event loop."""
        line = socket.socket(fileno=self.line_fd)
        line.setblocking(False)
        loop = asyncio.get_running_loop()

        def broken() -> None:
            loop.remove_reader(line)
            line.close()
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(line, broken)  # the supervisor never writes: it can only have ended
        try:
            line.send(READY)
        except OSError:
            pass  # the same end, which the reader sees too


def bound(host: str, port: int, *, shared: bool = True) -> socket.socket:
    """Bound and not listening. The kernel deals connections out among the shared sockets that listen. Raises OSError."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = addresses[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener
