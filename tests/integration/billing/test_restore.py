"""Billing on a database that is older than the stream: usage is read again, and nothing that happened since is taken back."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.integration.billing.conftest import APP, OWNER, USD, Billing, eventually, shrunk
from tt_billing.jobs.usage_purge import FULL_SHARE, KEPT_SHARE, purge_usage
from tt_billing.main.service import Service, make_context
from tt_billing.usecases.missing_events import list_missing, write_off
from tt_common.bus.rpc import call
from tt_common.contracts import wallets as w
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import CONSOLE_DURABLE, USAGE
from tt_common.db.engine import make_engine
from tt_common.deploy import stream_config
from tt_common.errors import DomainError
from tt_common.rating import Price, Rates, Usage
from tt_sandbox.stack.backup import dump_database, restore_database
from tt_sandbox.stack.postgres import EmbeddedPostgres

Step = Callable[[], None]


@pytest.fixture
def backup(postgres: EmbeddedPostgres, database: str, tmp_path: Path) -> tuple[Step, Step]:
    """Back up, and restore."""
    file = tmp_path / "billing.dump"
    return (
        lambda: dump_database(postgres, database, file),
        lambda: restore_database(postgres, database, file, OWNER, may_connect=(APP,)),
    )


async def usage_of(billing: Billing, *events: UsageEvent) -> None:
    await billing.publish(*events)
    await billing.settled(events[-1].edge_seq)


async def publish_price(billing: Billing, input_nanousd: int, model: str = "m") -> Price:
    request = w.PublishPrice(model=model, rates=Rates(input=input_nanousd), actor="test")
    return await call(billing.nc, w.PRICE_PUBLISH, request, Price, 5)


async def test_usage_since_the_backup_is_charged_again_once_and_grants_of_the_backup_end(
    idle_billing: Billing, backup: tuple[Step, Step]
) -> None:
    # given a backup with an open grant, and another that its edge closes afterwards
    billing = idle_billing
    take, restore = backup
    await billing.start(grant_soft_ttl_s=1.0, grant_hard_ttl_s=2.0)
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.change("kept", need_nanousd=1000)
    await billing.change("closed", need_nanousd=1000)
    await usage_of(billing, billing.usage(100, "kept"))
    take()

    # when more is granted, used and closed, then the database is lost and the backup restored
    more = await billing.change("kept", 2, need_nanousd=5000)
    await billing.change("unknown", need_nanousd=2000)
    await usage_of(billing, billing.usage(3000, "kept"), billing.usage(400, "closed"), billing.usage(700, "unknown"))
    await billing.shrink(shrunk("closed", 600, final=1))
    await billing.stop()
    restore()
    await billing.start()
    await billing.settled(4)

    # then what the edges hold beyond what is known is ended, so that they open anew
    for grant_id, revision, seen in (("kept", 3, more.granted_nanousd), ("unknown", 2, 2000)):
        with pytest.raises(DomainError, match="restored") as refused:
            await billing.change(grant_id, revision, need_nanousd=1, granted_seen_nanousd=seen)
        assert refused.value.code == "grant_ended"
    await billing.change("fresh", need_nanousd=500)

    # and each event is charged once, nothing stays held for grants that nobody has
    held = "SELECT sum(held_nanousd) FROM grants WHERE grant_id <> 'fresh'"
    await eventually(lambda: billing.rows(held) == [(0,)])
    assert sum(await billing.wallet("acc_1")) == USD - 4200
    assert billing.rows("SELECT count(*) FROM usage_events") == [(4,)]
    await billing.check_books()


async def test_a_grant_that_its_edge_still_renews_outlives_the_restore(
    idle_billing: Billing, backup: tuple[Step, Step]
) -> None:
    # given a grant that has not changed since the backup
    billing = idle_billing
    take, restore = backup
    await billing.start(grant_soft_ttl_s=1.0, grant_hard_ttl_s=2.0)
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    granted = await billing.change("g1", need_nanousd=1000)
    take()
    await usage_of(billing, billing.usage(100, "g1"))
    await billing.stop()
    restore()
    await billing.start()

    # when its edge renews it
    assert billing.rows("SELECT state FROM grants") == [("lost",)]
    again = await billing.change("g1", 2, granted_seen_nanousd=granted.granted_nanousd)

    # then
    assert again.granted_nanousd == granted.granted_nanousd
    assert billing.rows("SELECT state FROM grants") == [("open",)]


async def test_prices_published_since_the_backup_keep_their_numbers(
    billing: Billing, backup: tuple[Step, Step]
) -> None:
    # given two versions that the backup does not have, and a call at the one that is superseded
    take, restore = backup
    await publish_price(billing, 1_000_000)
    take()
    second, third = await publish_price(billing, 2_000_000), await publish_price(billing, 3_000_000)
    await billing.credit("acc_1", USD)
    await usage_of(billing, billing.usage(40, usage=Usage(input_tokens=20), price_version=second.version))
    await eventually(lambda: billing.rows("SELECT count(*) FROM outbox") == [(0,)])
    await billing.stop()

    # when
    restore()
    await billing.start()

    # then they are the same as before, and the next one has the next number
    found = await call(billing.nc, w.PRICE_LIST, w.ListPrices(model="m"), w.PriceList, 5)
    assert found.prices[1:] == (second, third)
    assert (await publish_price(billing, 4_000_000)).version == "m@4"
    await billing.settled(1)
    await billing.check_books()


async def test_a_database_restored_under_a_running_process_ends_it_before_it_hides_what_was_lost(
    idle_billing: Billing, backup: tuple[Step, Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a process that goes on while its database is restored
    billing = idle_billing
    take, restore = backup
    ended: list[bool] = []
    monkeypatch.setattr(Service, "_went_back", lambda _: ended.append(True))
    await billing.start()
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    take()
    await usage_of(billing, billing.usage(100), billing.usage(100))
    restore()

    # when the next event comes
    await billing.publish(billing.usage(100))
    await eventually(lambda: bool(ended))

    # then nothing of it is settled, and the process that follows reads all again
    assert billing.rows("SELECT count(*) FROM usage_events") == [(0,)]
    await billing.stop()
    await billing.start()
    await billing.settled(3)
    assert await billing.wallet("acc_1") == (USD - 300, 0)
    await billing.check_books()


async def test_events_that_never_come_are_listed_and_written_off_on_request_only(billing: Billing) -> None:
    # given an epoch with a gap, one that is closed without its end, and one with a gap that is young
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    for epoch, seqs in (("gap", (1, 2, 5, 7)), ("closed", (1,)), ("young", (2,))):
        await billing.publish(*(billing.usage(1, boot_epoch=epoch, edge_seq=seq) for seq in seqs))
        await billing.settled(1 if epoch != "young" else 0, epoch)
    await eventually(lambda: billing.rows("SELECT count(*) FROM usage_events") == [(6,)])
    billing.rows("UPDATE usage_events SET booked_at_ms = booked_at_ms - 90000 WHERE boot_epoch <> 'young'")
    billing.rows(
        "UPDATE edge_epochs SET closed = true, last_seq = 4, seen_at_ms = seen_at_ms - 90000, cost_nanousd = 4"
        " WHERE boot_epoch = 'closed'"
    )
    engine = make_engine(billing.settings.database_url, "test", pool_size=2)
    try:
        context = make_context(billing.settings, engine)

        # when they are listed, then written off
        listed = await list_missing(context)
        assert [(item.boot_epoch, item.first_seq, item.last_seq) for item in listed] == [
            ("closed", 2, 4),
            ("gap", 3, 4),
        ]
        for epoch in ("closed", "gap"):
            await write_off(context, epoch)

        # then nobody waits for them, and it is on record
        assert await list_missing(context) == []
    finally:
        await engine.dispose()
    await billing.settled(7, "gap")
    written_off = "SELECT boot_epoch, first_seq, last_seq FROM written_off ORDER BY 1, 2"
    assert billing.rows(written_off) == [("closed", 2, 4), ("gap", 3, 4), ("gap", 6, 6)]
    await billing.check_books()


async def test_a_stream_that_fills_up_keeps_what_a_restored_database_reads_again(billing: Billing) -> None:
    # given a small USAGE, nearly full of events that billing and console have settled
    js = billing.nc.jetstream()
    config = stream_config(msgspec.structs.replace(USAGE, max_bytes=200_000), 1)
    await js.update_stream(config)
    number = 0
    while (await js.stream_info(USAGE.name)).state.bytes < FULL_SHARE * 200_000:
        await billing.publish(*(billing.usage(0) for _ in range(20)))
        number += 20
    await billing.settled(number)
    reads_on = ConsumerConfig(
        durable_name=CONSOLE_DURABLE,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=number + 1,
    )
    await js.add_consumer(USAGE.name, reads_on)

    # when
    below = await purge_usage(billing.nc)

    # then the oldest are gone, and a third of the stream's size stays
    state = (await js.stream_info(USAGE.name)).state
    assert state.first_seq == below > 1
    assert KEPT_SHARE * 0.9 < state.bytes / 200_000 < KEPT_SHARE * 1.1
    assert await purge_usage(billing.nc) == 0
