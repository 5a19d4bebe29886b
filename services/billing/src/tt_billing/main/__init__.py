"""The commands of billing: serve, migrate, replay, reconcile, resume, missing, quarantine. Wiring only."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tt_billing.main import commands
from tt_billing.main.service import health_app
from tt_billing.settings import MIGRATIONS_DIR, Settings
from tt_common.db.migrations import migrate
from tt_common.log import configure_logging
from tt_common.web.serve import serve

EXIT_USAGE = 2


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="python -m tt_billing", description="Wallets, grants, settlement, ledger."
    )
    commands_parser = main_parser.add_subparsers(dest="command", required=True)
    commands_parser.add_parser("serve", help="serve RPC, settle usage, run the jobs")
    commands_parser.add_parser("migrate", help="bring the database to the newest schema, as its owner")
    replay_parser = commands_parser.add_parser("replay", help="rebuild every projection from the ledger and compare")
    reconcile_parser = commands_parser.add_parser("reconcile", help="compare ledger, usage, receipts, grants, epochs")
    for with_json in (replay_parser, reconcile_parser):
        with_json.add_argument("--json", action="store_true", help="print the report as JSON")
    commands_parser.add_parser("resume", help="after a restore: learn again what NATS and the edges still know")
    missing_parser = commands_parser.add_parser("missing", help="events that edges numbered and that never came")
    missing_parser.add_argument(
        "--write-off", metavar="EPOCH", help="wait no more for those of an edge whose journal is gone"
    )
    quarantine = commands_parser.add_parser("quarantine", help="events that could not be understood")
    actions = quarantine.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="those that wait")
    for action, text in (("show", "one with its payload"), ("retry", "settle one now")):
        actions.add_parser(action, help=text).add_argument("number", type=int)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: done and clean; 1: differences, or it could not be done; 2: wrong usage."""
    options = parser().parse_args(arguments)
    settings = Settings()  # pyright: ignore[reportCallIssue]
    configure_logging(settings.log_level)
    if options.command == "serve":
        serve(health_app(settings), settings.host, settings.port, grace_s=15)
        return 0
    if options.command == "migrate":
        if settings.owner_database_url is None:
            sys.stderr.write("BILLING_OWNER_DATABASE_URL is not set" + "\n")
            return EXIT_USAGE
        migrate(MIGRATIONS_DIR, settings.owner_database_url, settings.database_url)
        return 0
    if options.command == "replay":
        return asyncio.run(commands.replay_command(settings, options.json))
    if options.command == "reconcile":
        return asyncio.run(commands.reconcile_command(settings, options.json))
    if options.command == "resume":
        return asyncio.run(commands.resume_command(settings))
    if options.command == "missing":
        return asyncio.run(commands.missing_command(settings, options.write_off))
    if options.action == "list":
        return asyncio.run(commands.quarantine_list(settings))
    if options.action == "show":
        return asyncio.run(commands.quarantine_show(settings, options.number))
    return asyncio.run(commands.quarantine_retry(settings, options.number))
