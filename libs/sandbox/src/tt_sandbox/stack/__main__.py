"""`python -m tt_sandbox.stack up|down|reset|logs|status|demo-key`, what the Makefile calls."""

import argparse
import sys

from pydantic import ValidationError

from tt_sandbox.stack import commands
from tt_sandbox.stack.follow import follow
from tt_sandbox.stack.settings import StackSettings


def main() -> int:
    """Runs one command; its exit code."""
    parser = argparse.ArgumentParser(prog="tt_sandbox.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "reset", "logs", "status", "demo-key"))
    parser.add_argument("--reload", action="store_true", help="with up: restart services whose source changes")
    parser.add_argument("--detached", action="store_true", help="with up: this is the supervisor of a DETACH=1")
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
    command = {
        "down": commands.down,
        "reset": commands.reset,
        "status": commands.status,
        "demo-key": commands.demo_key,
    }[arguments.command]
    return command(settings)


if __name__ == "__main__":
    sys.exit(main())
