"""Local TCP ports: pick a free one, or say whether one is taken.

Never holds a port: between the answer and the use another process can take it, so a start that fails is still an error.
"""

import random
import socket

HOST = "127.0.0.1"
# Below the range that Linux and macOS hand to outgoing connections, so that those don't take a port just picked.
PICK_FROM = 20_000
PICK_TO = 32_000
PICK_TRIES_MAX = 200

# Two picks before the first is bound must not give the same port.
_picked: set[int] = set()


def is_free(port: int, host: str = HOST) -> bool:
    """True when a server could bind `port` on `host` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too; without it connections in TIME_WAIT would look like a busy port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def pick_free(host: str = HOST) -> int:
    """A port that is free and that this process has not picked before. Raises OSError when none is found."""
    for _ in range(PICK_TRIES_MAX):
        port = random.randint(PICK_FROM, PICK_TO)
        if port not in _picked and is_free(port, host):
            _picked.add(port)
            return port
    raise OSError(f"no free port between {PICK_FROM} and {PICK_TO} on {host}")
