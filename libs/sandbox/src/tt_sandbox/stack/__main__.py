"""`python -m tt_sandbox.stack up|down|reset|logs|status|demo-key|backup|restore`, what the Makefile calls."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from tt_sandbox.stack import commands
from tt_sandbox.stack.backup_commands import backup, restore_from
from tt_sandbox.stack.follow import follow
from tt_sandbox.stack.settings import StackSettings


def main() -> int:
    """Runs one command; its exit code."""
    parser = argparse.ArgumentParser(prog="tt_sandbox.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "reset", "logs", "status", "demo-key", "backup", "restore"))
    parser.add_argument("--reload", action="store_true", help="with up: restart services whose source changes")
    parser.add_argument("--detached", action="store_true", help="with up: this is the supervisor of a DETACH=1")
    parser.add_argument("--folder", type=Path, help="of a backup")
    parser.add_argument("--database", help="with restore: billing, deposits or console")
    arguments = parser.parse_args()
    try:
        settings = StackSettings()
    except ValidationError as error:
        first = error.errors()[0]
        print(f"{str(first['loc'][0]).upper()}={first['input']!r}: {first['msg']}", file=sys.stderr)
        return 1
    if arguments.command == "up":
        return commands.up(settings, reload=arguments.reload, detached=arguments.detached)
    if arguments.command == "logs":
        return follow(settings.data_dir / "logs")
    if arguments.command == "backup":
        return backup(settings, arguments.folder)
    if arguments.command == "restore":
        return restore_from(settings, arguments.database, arguments.folder)
    command = {
        "down": commands.down,
        "reset": commands.reset,
        "status": commands.status,
        "demo-key": commands.demo_key,
    }[arguments.command]
    return command(settings)


if __name__ == "__main__":
    sys.exit(main())
