"""Wiring only: settings -> connections -> routes, consumers, jobs -> run; and the commands of the shell."""

import argparse
import asyncio
from pathlib import Path

from pydantic import ValidationError

from tt_common.db.migrations import migrate
from tt_common.errors import DomainError
from tt_common.log import configure_logging
from tt_common.web.leaving import Leaving
from tt_common.web.serve import serve
from tt_console.api.app import create_app
from tt_console.main.commands import COMMANDS, complain, run
from tt_console.main.service import serving
from tt_console.settings import ConsoleSettings

MIGRATIONS = Path(__file__).parents[3] / "migrations"
RESEND_HOURS = 24 * 30


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = ConsoleSettings()  # pyright: ignore[reportCallIssue] -- the values come from the environment
    except ValidationError as error:
        names = ", ".join(f"CONSOLE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        return complain(f"settings: {names}")
    configure_logging(settings.log_level)
    if arguments.command == "serve":
        leaving = Leaving(settings.leave_s)
        app = create_app(lambda app: serving(app, settings, leaving))
        app.state.checks["leaving"] = leaving.check
        serve(app, settings.host, settings.port, leaving=leaving)
        return 0
    if arguments.command == "migrate":
        return _migrate(settings)
    try:
        return asyncio.run(run(COMMANDS[arguments.command], arguments, settings))
    except DomainError as error:
        return complain(error.message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tt_console", description="The console API of TokenTally.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the API, the usage consumer and the jobs")
    commands.add_parser("migrate", help="bring the database to the newest revision, as its owner")
    seed = commands.add_parser("seed", help="bring a catalog file into the catalog and publish its prices")
    seed.add_argument("--catalog", type=Path, required=True, metavar="FILE")
    demo = commands.add_parser("demo", help="make the demo account and print its key")
    demo.add_argument("--key-file", type=Path, metavar="FILE", help="print the key in this file while it is valid")
    operator = commands.add_parser("create-operator", help="make an operator, or make a user one")
    operator.add_argument("email")
    resend = commands.add_parser(
        "resend-wallets", help="after billing's restore: tell it again what operators did to wallets"
    )
    resend.add_argument("--hours", type=float, default=RESEND_HOURS, help="how far back (default: %(default)g)")
    commands.add_parser("rebuild-usage", help="rebuild the usage read model from billing's records")
    return parser


def _migrate(settings: ConsoleSettings) -> int:
    if settings.owner_database_url is None:
        return complain("CONSOLE_OWNER_DATABASE_URL is not set")
    migrate(MIGRATIONS, settings.owner_database_url.get_secret_value(), settings.database_url.get_secret_value())
    return 0
