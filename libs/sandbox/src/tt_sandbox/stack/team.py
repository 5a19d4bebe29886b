"""`python -m tt_sandbox.stack.team NAME [--rotate|--remove]`: credentials for an internal team on the NATS of `make up`.

Works on the running server by a reload, which leaves all other connections alone.
"""

import argparse
import asyncio
import json
import signal
import sys

from tt_common.teams.access import TeamAccess
from tt_common.teams.accounts import TeamFiles
from tt_common.teams.command import add_options, run
from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.ports import HOST
from tt_sandbox.stack.process import read_pid_file
from tt_sandbox.stack.settings import StackSettings


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="tt_sandbox.stack.team", description=__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    if arguments.name is None:
        parser.error("which team? make team NAME=analytics")
    folder = DataFolder(StackSettings().data_dir.resolve())
    server = read_pid_file(folder.pid("nats"))
    if server is None:
        print("NATS does not run (make up starts it).", file=sys.stderr)
        return 1
    port = json.loads((folder.run / "ports.json").read_text())["nats"]
    access = TeamAccess(TeamFiles(folder.nats), f"{HOST}:{port}", lambda: server.send_signal(signal.SIGHUP))
    return asyncio.run(run(access, arguments))


if __name__ == "__main__":
    sys.exit(main())
