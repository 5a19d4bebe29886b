"""`make logs`: shows all logs of a data folder as they grow, each line with the name of its process."""

import sys
import time
from pathlib import Path

from tt_sandbox.stack.process import log_tail

POLL_S = 0.3
NAME_WIDTH = 16
FIRST_LINES = 10
READ_BYTES_MAX = 256 * 1024


class FollowedLog:
    """One file, read from where the last read ended; a file that got shorter is read from its start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = path.stat().st_size
        self._rest = ""

    def new_lines(self) -> list[str]:
        """Complete lines since the last call."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._position:
            self._position = 0
        if size == self._position:
            return []
        with self.path.open("rb") as file:
            file.seek(self._position)
            raw = file.read(READ_BYTES_MAX)
        self._position += len(raw)
        *lines, self._rest = (self._rest + raw.decode("utf-8", "replace")).split("\n")
        return lines


def follow(logs_dir: Path) -> int:
    """Prints the last lines of every log, then new ones until Ctrl-C."""
    if not logs_dir.is_dir():
        print("There are no logs yet (make up starts the stack).", file=sys.stderr)
        return 1
    followed: dict[str, FollowedLog] = {}
    first = True
    try:
        while True:
            for path in sorted(logs_dir.glob("*.log")):
                if path.stem not in followed:
                    followed[path.stem] = FollowedLog(path)
                    _show(path.stem, log_tail(path, FIRST_LINES).splitlines() if first else [])
            for name, log in followed.items():
                _show(name, log.new_lines())
            first = False
            sys.stdout.flush()
            time.sleep(POLL_S)
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def _show(name: str, lines: list[str]) -> None:
    for line in lines:
        print(f"{name:<{NAME_WIDTH}}| {line}")
