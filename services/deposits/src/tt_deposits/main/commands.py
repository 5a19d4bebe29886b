"""The one-shot commands: each opens what it needs, calls one use case, prints, and closes."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from tt_common.bus.connection import connect
from tt_common.clock import rfc3339
from tt_common.contracts.deposits import GetScanner, ResumeScanner, StartRescan
from tt_common.db.engine import make_engine
from tt_common.errors import DomainError
from tt_common.ids import new_id
from tt_deposits.clients.billing import BillingLedger
from tt_deposits.clients.nodes_reconcile import make_witnesses
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.main.service import make_context, make_pool
from tt_deposits.settings import Settings
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import resume
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.reconcile import reconcile
from tt_deposits.usecases.rescan import start_rescan
from tt_deposits.usecases.scanner_state import scanner_state

COMPARED: Final = 3
ACTOR: Final = "command line"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    engine = make_engine(settings.database_url, "tt-deposits-command", pool_size=2)
    pool = make_pool(settings, DepositsMetrics(CollectorRegistry()))
    try:
        yield make_context(settings, engine, pool)
    finally:
        await pool.close()
        await engine.dispose()


def addresses(settings: Settings) -> int:
    """Prints what the device must show, too. Raises WrongXpub."""
    key = AccountKey(settings.xpub)
    say(f"fingerprint  {key.fingerprint}")
    for index in range(COMPARED):
        say(f"{key.path(index):<20} {address_text(key.address(index))}")
    return 0


async def rescan(settings: Settings, from_height: int, to_height: int) -> int:
    """The running service does it; `status` shows how far it is."""
    request = StartRescan(
        rescan_id=new_id("rescan"),
        from_height=from_height,
        to_height=to_height,
        actor=ACTOR,
        reason="asked for by hand",
    )
    async with opened(settings) as context:
        try:
            started = await start_rescan(context, request)
        except DomainError as error:
            sys.stderr.write(error.message + "\n")
            return 1
    say(f"{started.rescan_id}: blocks {started.from_height} to {started.to_height} will be read again")
    return 0


async def resume_scan(settings: Settings, reason: str) -> int:
    async with opened(settings) as context:
        try:
            await resume(context, ResumeScanner(actor=ACTOR, reason=reason))
        except DomainError as error:
            sys.stderr.write(error.message + "\n")
            return 1
    say("the scanner goes on")
    return 0


async def status(settings: Settings) -> int:
    """Exit status 1: halted."""
    async with opened(settings) as context:
        state = await scanner_state(context, GetScanner())
    at = "never" if state.cursor_time_ms is None else rfc3339(state.cursor_time_ms)
    say(f"network     {state.network}, xpub {state.xpub_fingerprint}")
    say(f"cursor      {state.cursor_height} of {at}, {state.blocks_behind} solid blocks behind")
    say(f"solid, head {state.solid_height}, {state.head_height}")
    say(f"addresses   {state.addresses_assigned} assigned, {state.addresses_spare} spare")
    for node in state.nodes:
        say(f"node        {node.name}: head {node.head_height}, solid {node.solid_height} {node.error}".rstrip())
    for one in state.rescans:
        say(
            f"re-scan     {one.rescan_id}: {one.from_height} to {one.to_height}, at {one.next_height}, {one.found} found"
        )
    if state.halted_reason:
        say(f"HALTED      {state.halted_reason} at {state.halted_height}: {state.halted_details}")
    return 1 if state.halted_reason else 0


async def reconcile_all(settings: Settings, whole: bool, as_json: bool) -> int:
    """Exit status 1: something differs, or could not be compared."""
    if settings.nats_url is None:
        sys.stderr.write("DEPOSITS_NATS_URL is not set\n")
        return 1
    nc = await connect(settings.nats_url, "tt-deposits-reconcile")
    pool = make_pool(settings, DepositsMetrics(CollectorRegistry()))
    try:
        async with opened(settings) as context:
            witnesses = make_witnesses(pool.all(), context.watch.contract)
            report = await reconcile(context, witnesses, BillingLedger(nc), whole=whole)
    finally:
        await pool.close()
        await nc.close()
    if as_json:
        say(msgspec.json.encode(report).decode())
        return 0 if report.clean else 1
    failed = {item.check for item in report.differences}
    otherwise = "?" if report.unchecked else "ok"
    for check in report.checks:
        say(f"{'DIFFERENT' if check in failed else otherwise:<10} {check}")
    for item in report.differences:
        say(f"{item.check}: {item.what}: expected {item.expected}, found {item.found}")
    for what in report.unchecked:
        say(f"not compared: {what}")
    say(f"blocks {report.from_height} to {report.to_height}, {report.addresses} addresses")
    say(f"{len(report.differences)} differences" if report.differences else "no differences")
    return 0 if report.clean else 1


def say(line: str) -> None:
    """One line of a command's output."""
    sys.stdout.write(line + "\n")
