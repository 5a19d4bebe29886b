"""What the commands for teams have in common: their options, what they do, what they answer.

The password appears on standard output when it is made and never again.
"""

import argparse
import sys

from tt_common.teams.access import TeamAccess, TeamError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The team's name, and what to do with a team that exists."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="lower-case letters, digits and hyphens")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--rotate", action="store_true", help="give the team a new password; the old one ends at once")
    change.add_argument("--remove", action="store_true", help="remove the team, its copy of USAGE and its consumers")


async def run(access: TeamAccess, arguments: argparse.Namespace) -> int:
    """Carries the command out; its exit status."""
    name: str = arguments.name
    try:
        if arguments.remove:
            await access.revoke(name)
            _say(f"Team {name} is removed.")
        elif arguments.rotate:
            _say(f"Team {name} has a new password, shown this once:\n  {access.url(await access.rotate(name))}")
        else:
            team, is_new = await access.grant(name)
            if is_new:
                _say(f"Team {name} reads usage events from its own stream USAGE. Its URL, shown this once:")
                _say(f"  {access.url(team)}")
            else:
                _say(f"Team {name} exists and its copy is in place (--rotate gives it a new password).")
    except (TeamError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
