"""The commands behind `make backup` and `make restore`. Each returns an exit code and prints one clear line when it can't do its work."""

import json
import sys
import time
from pathlib import Path

from tt_sandbox.stack.backup import MANIFEST, back_up, restore
from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.process import StartError, read_pid_file
from tt_sandbox.stack.settings import StackSettings
from tt_sandbox.stack.stack import DATABASE_OWNERS, Stack
from tt_sandbox.stack.supervisor import AlreadyRunning, FolderLock, stop_leftovers


def backup(settings: StackSettings, to: Path | None) -> int:
    """All databases into `to` (a fresh folder under the data folder by default), while the stack runs."""
    folder = DataFolder(settings.data_dir.resolve())
    to = (to or folder.root / "backups" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())).resolve()
    if (to / MANIFEST).exists():
        return _fail(f"there is a backup in {to} already")
    if read_pid_file(folder.pid("postgres")) is None:
        return _fail("the stack does not run (make up starts it)")
    port: int = json.loads((folder.run / "ports.json").read_text())["postgres"]
    try:
        files = back_up(EmbeddedPostgres(folder.postgres, port), to)
    except (StartError, OSError) as error:
        return _fail(str(error).splitlines()[0])
    for file in files:
        print(f"{file}  {file.stat().st_size / 1024:.0f} KiB")
    return 0


def restore_from(settings: StackSettings, database: str | None, source: Path | None) -> int:
    """One database as a backup has it, while the stack is stopped."""
    if source is None or database not in DATABASE_OWNERS:
        return _fail(f"say FROM=folder and DATABASE={' or '.join(DATABASE_OWNERS)}")
    folder = DataFolder(settings.data_dir.resolve())
    try:
        lock = FolderLock(folder)
    except AlreadyRunning:
        return _fail("the stack runs: make down first")
    stack = Stack(folder.root, ports=settings.ports)
    try:
        stop_leftovers(folder, print)
        stack.start_databases()
        restore(stack.postgres, database, source.resolve())
    except (StartError, OSError) as error:
        return _fail(str(error).splitlines()[0])
    finally:
        stack.postgres.stop()
        lock.release()
    print(f"{database} is restored. Next: make up, then what docs/backup.md says for {database}.")
    return 0


def _fail(line: str) -> int:
    print(line, file=sys.stderr, flush=True)
    return 1
