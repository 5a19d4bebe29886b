"""A database, NATS or a journal is lost under load: a backup and the documented commands bring a consistent whole back.

See docs/backup.md. What is lost for good is asserted to be no more than that page says.
"""

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fault.driver import Record, driver, load
from tests.fault.oracle import assert_consistent
from tests.fault.world import Key, World
from tests.support.console import ApiKey, ConsoleUser
from tests.support.waiting import eventually
from tt_common.ids import derived_event_id
from tt_sandbox.stack.backup import back_up, restore

WORKERS: Final = 6
# Grants that nobody has any more end after the hard expiry; the tests needn't wait for the product's.
SHORT: Final = {"BILLING_GRANT_SOFT_TTL_S": "2", "BILLING_GRANT_HARD_TTL_S": "4", "BILLING_LOST_GRANT_S": "4"}


@pytest.fixture(scope="module", autouse=True)
def short_grants(world: World) -> Iterator[None]:
    """Billing with grants that live for seconds."""
    before = {name: world.billing.env.get(name) for name in SHORT}
    world.billing.env.update(SHORT)
    world.billing.restart()
    yield
    for name, value in before.items():
        if value is None:
            del world.billing.env[name]
        else:
            world.billing.env[name] = value
    world.billing.restart()


def command(world: World, owner: str, *arguments: str) -> str:
    done = world.stack.command(owner, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_billings_database_restored_from_a_backup_ends_with_every_call_billed_once(
    world: World, record: Record, seed: int, rng: random.Random, tmp_path: Path
) -> None:
    # given a backup taken under load, and calls, a wallet and a price that are younger
    stack = world.stack
    keys = [await asyncio.to_thread(world.key, "20") for _ in range(2)]
    async with load(record, keys, rng, workers=WORKERS):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(back_up, stack.postgres, tmp_path)
        young = await asyncio.to_thread(world.key, "5")
        model = await asyncio.to_thread(world.product.new_model)
        keys.append(young)
        await asyncio.sleep(1)

        # when the database is lost, restored, and operators' work is sent again
        world.billing.kill()
        await asyncio.to_thread(restore, stack.postgres, "billing", tmp_path)
        await asyncio.to_thread(world.billing.start)
        sent = await asyncio.to_thread(command, world, "console", "resend-wallets", "--hours", "1")
        assert sent.startswith(tuple("123456789"))

        # then callers of all keys are served again
        before = len(record.sent)
        await asyncio.to_thread(eventually, lambda: _served(record, before, {key.id for key in keys}), "calls go on")

    # and every call is billed once, nothing is held, the books agree
    assert_consistent(record, commands=True)
    # and a price that is younger than the backup is known: the next one has the next number
    world.product.operator.publish_price(model, input="3", output="4")
    versions = world.billing_rows("SELECT version FROM prices WHERE model = %s ORDER BY number", model)
    assert [row["version"] for row in versions] == [f"{model}@1", f"{model}@2"]


def _served(record: Record, start: int, key_ids: set[str]) -> bool:
    return {sent.key.id for sent in record.sent[start:] if sent.outcome == "complete"} >= key_ids


async def test_the_consoles_database_restored_from_a_backup_gets_keys_and_catalog_back_from_the_buckets(
    world: World, record: Record, seed: int, tmp_path: Path
) -> None:
    # given a backup, and then a key disabled, one rotated, one made, a new customer with a key, and a new model
    stack, console = world.stack, world.stack.service("console")
    customer = world.product.new_customer("5")
    disabled, rotated = customer.create_key(), customer.create_key()
    back_up(stack.postgres, tmp_path)
    customer.disable_key(disabled)
    fresh, made = customer.rotate_key(rotated), customer.create_key(monthly_limit_usd="3")
    stranger = world.product.new_customer("5")
    strange = stranger.create_key()
    model = world.product.new_model()

    async with driver(record) as calls:

        async def status(key: ApiKey, owner: ConsoleUser = customer) -> int:
            return (await calls.call(Key(key.id, owner.account_id, key.plaintext), 0)).status

        assert (await status(made), await status(strange, stranger)) == (200, 200)

        # when the console's database is lost and restored
        console.kill()
        restore(stack.postgres, "console", tmp_path)
        console.start()

        # then it learns again what the edges enforce
        def keys() -> dict[str, tuple[str, str]]:
            rows = world.console_rows("SELECT id, status, account_id FROM keys")
            return {row["id"]: (row["status"], row["account_id"]) for row in rows}

        eventually(lambda: keys().get(strange.id) == ("active", stranger.account_id), "the buckets are adopted")
        eventually(lambda: world.console_rows("SELECT 1 FROM models WHERE id = %s", model), "the model is adopted")
        assert keys()[disabled.id] == ("disabled", customer.account_id)
        assert keys()[made.id] == ("active", customer.account_id)
        assert [await status(key) for key in (made, fresh, disabled, rotated)] == [200, 200, 401, 401]

        # and what is changed now wins at every edge
        customer.log_in(customer.email, customer.password)
        customer.disable_key(made)
        assert await status(made) == 401

    # and usage is what billing says
    command(world, "console", "rebuild-usage")
    assert_consistent(record)


async def test_nats_lost_with_all_its_storage_loses_no_call(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on all edges, and events that nobody has settled
    stack = world.stack
    keys = [await asyncio.to_thread(world.key, "20") for _ in range(2)]
    async with load(record, keys, rng, workers=WORKERS):
        await asyncio.sleep(1)
        world.billing.pause()
        await asyncio.sleep(0.5)

        # when NATS loses streams and buckets
        stack.nats.kill()
        world.billing.resume()
        shutil.rmtree(stack.nats.store_dir / "jetstream")
        await asyncio.to_thread(stack.nats.start)
        await asyncio.to_thread(stack.deploy_streams)

        # then calls go on, also at an edge that knows nothing but what the buckets have
        await asyncio.to_thread(stack.edges[0].restart)
        before = len(record.sent)
        await asyncio.to_thread(eventually, lambda: _served_by(record, before) >= {0, 1}, "calls go on")

    # and every call is billed once; usage that the console had not read comes from billing
    await asyncio.to_thread(eventually, lambda: _all_billed(record), "every served call has its event")
    command(world, "console", "rebuild-usage")
    assert_consistent(record, commands=True)


def _all_billed(record: Record) -> bool:
    known = {row["id"] for row in record.world.billing_rows("SELECT id::text FROM usage_events")}
    served = {call["request_id"] for call in record.world.provider_calls(record.since)}
    return all(name in known or derived_event_id(name, "unresolved") in known for name in served)


def _served_by(record: Record, start: int) -> set[int]:
    return {sent.edge for sent in record.sent[start:] if sent.outcome == "complete"}


async def test_a_lost_journal_costs_the_calls_under_way_and_their_grants_come_back(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load, and then its edge and the edge's disk are gone
    edge = world.stack.edges[1]
    key = await asyncio.to_thread(world.key, "20")
    async with load(record, [key], rng, workers=WORKERS):
        await asyncio.sleep(1.5)
        edge.kill()
        journals = world.stack.folder.edge_journal / edge.name
        lost = [folder.name for folder in journals.iterdir()]
        shutil.rmtree(journals)
        await asyncio.to_thread(edge.start)
        await asyncio.sleep(0.5)

    # when what the edge held is given up
    def nothing_held() -> bool:
        return world.balance(key.account_id)[1] == 0

    await asyncio.to_thread(eventually, nothing_held, "the grants end")

    # then no more is unbilled than the calls that were under way, and no client had a whole answer long before
    calls = {call["request_id"]: call for call in world.provider_calls(record.since)}
    query = "SELECT id::text FROM usage_events WHERE account_id = %s"
    known = {row["id"] for row in world.billing_rows(query, key.account_id)}
    unbilled = [name for name in calls if name not in known and derived_event_id(name, "unresolved") not in known]
    assert len(unbilled) <= WORKERS, unbilled

    # and once what it had not sent is written off, nothing is waited for
    query = "SELECT boot_epoch FROM edge_epochs WHERE edge_id = ANY(%s) AND NOT closed"
    for row in world.billing_rows(query, lost):
        await asyncio.to_thread(command, world, "billing", "missing", "--write-off", row["boot_epoch"])
    assert world.billing_rows("SELECT edge_id FROM edge_epochs WHERE watermark < last_seq") == []
    await asyncio.to_thread(command, world, "billing", "reconcile")
