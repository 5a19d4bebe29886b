"""The commands of deposits: serve, migrate, addresses, rescan, resume, status, reconcile. Wiring only."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from tt_common.db.migrations import migrate
from tt_common.log import configure_logging
from tt_common.web.serve import serve
from tt_deposits.domain.derivation import WrongXpub
from tt_deposits.main import commands
from tt_deposits.main.service import health_app
from tt_deposits.settings import MIGRATIONS_DIR, Settings

EXIT_USAGE = 2


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(prog="python -m tt_deposits", description="USDT deposits, watch-only.")
    commands_parser = main_parser.add_subparsers(dest="command", required=True)
    commands_parser.add_parser("serve", help="scan the chain, serve RPC, run the jobs")
    commands_parser.add_parser("migrate", help="bring the database to the newest schema, as its owner")
    commands_parser.add_parser("addresses", help="fingerprint and first addresses, to compare with the device")
    rescan_parser = commands_parser.add_parser("rescan", help="read solid blocks again, both heights included")
    rescan_parser.add_argument("from_height", type=int)
    rescan_parser.add_argument("to_height", type=int)
    resume_parser = commands_parser.add_parser("resume", help="after a halt whose cause is gone: scan on")
    resume_parser.add_argument("--reason", required=True, help="what was found and done")
    commands_parser.add_parser("status", help="how far the chain is read, nodes, re-scans; exit status 1: halted")
    reconcile_parser = commands_parser.add_parser("reconcile", help="chain against records against ledger")
    reconcile_parser.add_argument("--whole", action="store_true", help="all blocks, and every address's balance")
    reconcile_parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: done; 1: it could not be done; 2: wrong usage."""
    options = parser().parse_args(arguments)
    settings = read_settings(options.command)
    configure_logging(settings.log_level)
    # It would write the URL of every request: a node's may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if options.command == "serve":
            serve(health_app(settings), settings.host, settings.port, grace_s=15)
            return 0
        if options.command == "migrate":
            if settings.owner_database_url is None:
                sys.stderr.write("DEPOSITS_OWNER_DATABASE_URL is not set\n")
                return EXIT_USAGE
            migrate(MIGRATIONS_DIR, settings.owner_database_url, settings.database_url)
            return 0
        if options.command == "addresses":
            return commands.addresses(settings)
        if options.command == "rescan":
            return asyncio.run(commands.rescan(settings, options.from_height, options.to_height))
        if options.command == "resume":
            return asyncio.run(commands.resume_scan(settings, options.reason))
        if options.command == "reconcile":
            return asyncio.run(commands.reconcile_all(settings, options.whole, options.json))
        return asyncio.run(commands.status(settings))
    except WrongXpub as error:
        sys.stderr.write(f"DEPOSITS_XPUB: {error}\n")
        return EXIT_USAGE


def read_settings(command: str) -> Settings:
    """`addresses` needs no database."""
    if command == "addresses" and "DEPOSITS_DATABASE_URL" not in os.environ:
        return Settings(database_url="")
    return Settings()  # pyright: ignore[reportCallIssue]
