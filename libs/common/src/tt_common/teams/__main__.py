"""`python -m tt_common.teams NAME --folder DIR --server HOST:PORT --reload COMMAND`: credentials for an internal team.

For a NATS that is run by hand; `make team NAME=...` does the same to the one of `make up`. The password is printed once.
"""

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

from tt_common.teams.access import TeamAccess
from tt_common.teams.accounts import TeamFiles, product_exports
from tt_common.teams.command import add_options, run


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="tt_common.teams", description=__doc__)
    parser.add_argument("--exports", action="store_true", help="print what the product's account must export, and end")
    parser.add_argument(
        "--create", action="store_true", help="make the files that NATS includes, without any team, and end"
    )
    parser.add_argument("--folder", type=Path, help="where teams.json and teams.conf lie")
    parser.add_argument("--server", default="127.0.0.1:4222", help="host:port of NATS (default %(default)s)")
    parser.add_argument(
        "--reload", help="shell command that makes NATS reload, such as: docker compose kill -s HUP nats"
    )
    parser.add_argument("--replicas", type=int, default=1, help="servers that keep the copy (default %(default)s)")
    add_options(parser)
    arguments = parser.parse_args()
    if arguments.exports:
        print("exports:", product_exports())
        return 0
    if arguments.create and arguments.folder is not None:
        TeamFiles(arguments.folder).create()
        return 0
    if arguments.folder is None or arguments.reload is None or arguments.name is None:
        parser.error("NAME, --folder and --reload are needed")
    command: str = arguments.reload
    files = TeamFiles(arguments.folder)

    def reload() -> None:
        subprocess.run(command, shell=True, check=True)

    return asyncio.run(run(TeamAccess(files, arguments.server, reload, arguments.replicas), arguments))


if __name__ == "__main__":
    sys.exit(main())
