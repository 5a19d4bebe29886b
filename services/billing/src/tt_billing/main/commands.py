"""The one-shot commands: each opens what it needs, calls one use case, prints, and closes.

Reports go to standard output.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_billing.clients.price_bucket import read_price_records
from tt_billing.domain.records import Difference
from tt_billing.jobs.reconciliation import usage_backlog
from tt_billing.main.service import make_context
from tt_billing.settings import Settings
from tt_billing.store.quarantine import list_quarantine, read_quarantined
from tt_billing.usecases.missing_events import list_missing, write_off
from tt_billing.usecases.reconcile import reconcile
from tt_billing.usecases.replay import replay
from tt_billing.usecases.resume import adopt_prices, doubt_grants
from tt_billing.usecases.retry_quarantined import retry_quarantined
from tt_common.bus.connection import connect
from tt_common.clock import rfc3339
from tt_common.contracts.streams import USAGE
from tt_common.db.engine import make_engine
from tt_common.errors import DomainError

LIST_MAX = 1000


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(settings.database_url, "tt-billing-command", pool_size=2)
    try:
        yield engine
    finally:
        await engine.dispose()


async def replay_command(settings: Settings, as_json: bool) -> int:
    async with opened(settings) as engine:
        report = await replay(make_context(settings, engine).database)
    if as_json:
        say(msgspec.json.encode(report).decode())
    else:
        _say_differences(report.differences)
        say(f"{report.transfers} transfers replayed: {_verdict(report.differences)}")
    return 1 if report.differences else 0


async def reconcile_command(settings: Settings, as_json: bool) -> int:
    """With BILLING_NATS_URL set, the backlog of USAGE is part of the report."""
    backlog: int | None = None
    if settings.nats_url is not None:
        nc = await connect(settings.nats_url, "tt-billing-reconcile")
        backlog = await usage_backlog(nc)
        await nc.close()
    async with opened(settings) as engine:
        report = await reconcile(make_context(settings, engine), backlog, whole=True)
    if as_json:
        say(msgspec.json.encode(report).decode())
        return 0 if report.clean else 1
    failed = {difference.check for difference in report.differences}
    for check in report.checks:
        say(f"{'DIFFERENT' if check in failed else 'ok':<10} {check}")
    _say_differences(report.differences)
    say(f"{report.rated} receipts rated again, {report.quarantined} events in quarantine, USAGE backlog: {backlog}")
    say(_verdict(report.differences))
    return 0 if report.clean else 1


async def resume_command(settings: Settings) -> int:
    """What `serve` does by itself where it sees that the database is older than the stream; by hand where it can't see it."""
    if settings.nats_url is None:
        sys.stderr.write("BILLING_NATS_URL is not set\n")
        return 1
    nc = await connect(settings.nats_url, "tt-billing-resume")
    try:
        last_seq = (await nc.jetstream(timeout=5).stream_info(USAGE.name)).state.last_seq
        records = await read_price_records(nc)
    finally:
        await nc.close()
    async with opened(settings) as engine:
        context = make_context(settings, engine)
        prices = await adopt_prices(context, records)
        grants = await doubt_grants(context, last_seq, settings.lost_grant_s)
    say(f"{prices} price versions adopted from the bucket, {grants} grants wait for their edges")
    return 0


async def missing_command(settings: Settings, boot_epoch: str | None) -> int:
    """Lists events that never came, or writes off those of one epoch. Exit status 1: some are missing."""
    if settings.nats_url is None:
        sys.stderr.write("BILLING_NATS_URL is not set\n")
        return 1
    nc = await connect(settings.nats_url, "tt-billing-missing")
    try:
        backlog = await usage_backlog(nc)
    finally:
        await nc.close()
    if backlog:
        sys.stderr.write(f"{backlog} events in USAGE are not settled yet: wait for them\n")
        return 1
    async with opened(settings) as engine:
        context = make_context(settings, engine)
        missing = await (list_missing(context) if boot_epoch is None else write_off(context, boot_epoch))
    for item in missing:
        say(f"epoch {item.boot_epoch} of {item.edge_id}: events {item.first_seq} to {item.last_seq}")
    number = sum(item.last_seq - item.first_seq + 1 for item in missing)
    say(f"{number} events {'are missing' if boot_epoch is None else 'written off'}")
    return 1 if missing and boot_epoch is None else 0


async def quarantine_list(settings: Settings) -> int:
    async with opened(settings) as engine, engine.connect() as connection:
        for item in await list_quarantine(connection, LIST_MAX):
            say(f"{item.id}  {rfc3339(item.quarantined_at_ms)}  {item.subject}  {item.reason}")
    return 0


async def quarantine_show(settings: Settings, number: int) -> int:
    async with opened(settings) as engine, engine.connect() as connection:
        item = await read_quarantined(connection, number)
    if item is None:
        sys.stderr.write("no such event in quarantine\n")
        return 1
    for name in ("id", "subject", "stream_sequence", "reason", "boot_epoch", "edge_seq", "grant_id", "settled_at_ms"):
        say(f"{name}: {getattr(item, name)}")
    say(item.payload.decode(errors="backslashreplace"))
    return 0


async def quarantine_retry(settings: Settings, number: int) -> int:
    async with opened(settings) as engine:
        try:
            say(f"settled event {await retry_quarantined(make_context(settings, engine), number)}")
        except DomainError as error:
            sys.stderr.write(error.message + "\n")
            return 1
    return 0


def say(line: str) -> None:
    """One line of a command's output."""
    sys.stdout.write(line + "\n")


def _say_differences(differences: tuple[Difference, ...]) -> None:
    for difference in differences:
        say(f"{difference.check}: {difference.what}: expected {difference.expected}, found {difference.found}")


def _verdict(differences: tuple[Difference, ...]) -> str:
    return f"{len(differences)} differences" if differences else "no differences"
