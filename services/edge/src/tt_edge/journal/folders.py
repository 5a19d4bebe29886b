"""Journal folders: one sub-folder of the root for each worker, held by a lock that ends with the process.

The folder's name is the worker's stable `edge_id`. Invariant: two processes never hold one folder. Never waits for a
lock.
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

FOLDER_PREFIX: Final = "edge_"
FOLDERS_MAX: Final = 1024
LOCK_NAME: Final = "lock"


class Folder:
    """A journal folder that this process holds until `release`."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.edge_id = path.name
        self._lock_fd = lock_fd

    def release(self) -> None:
        """Let others have it. Idempotent."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove_if_empty(self) -> None:
        """Release, and remove the folder where nothing but the lock is in it."""
        if self._lock_fd >= 0 and [entry.name for entry in self.path.iterdir()] == [LOCK_NAME]:
            (self.path / LOCK_NAME).unlink()
            try:
                self.path.rmdir()
            except OSError:
                pass  # another process came in between the two steps and has it now
        self.release()


def try_claim(path: Path) -> Folder | None:
    """Hold the folder at `path`, or None where another holds it or it is gone."""
    try:
        descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have removed the file that was just locked.
        if os.fstat(descriptor).st_ino == (path / LOCK_NAME).stat().st_ino:
            return Folder(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another, or removed
    os.close(descriptor)
    return None


def claim(root: Path) -> Folder:
    """Hold the first free folder under `root`, or a new one.

    Raises OSError where the disk refuses or there are too many.
    """
    root.mkdir(parents=True, exist_ok=True)
    for path in folders(root):
        held = try_claim(path)
        if held is not None:
            return held
    if len(folders(root)) >= FOLDERS_MAX:
        raise OSError(f"more than {FOLDERS_MAX} journal folders in {root}")
    while True:
        path = root / f"{FOLDER_PREFIX}{secrets.token_hex(6)}"
        path.mkdir(mode=0o700)
        held = try_claim(path)
        if held is not None:
            return held


def folders(root: Path) -> list[Path]:
    """Every journal folder under `root`, held or not."""
    return sorted(path for path in root.glob(f"{FOLDER_PREFIX}*") if path.is_dir())
