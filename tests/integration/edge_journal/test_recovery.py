"""What a dead edge left is brought home once: by its own next boot, or by any edge on the volume."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.edge_journal.fake_billing import FakeBilling
from tests.unit.edge.journal.samples import call, settle
from tt_common.bus.lean_client import LeanClient
from tt_edge.domain.event_ids import unresolved_id
from tt_edge.jobs import recovery
from tt_edge.journal.folders import Folder, claim, folders, try_claim
from tt_edge.journal.journal import Journal
from tt_edge.journal.scan import scan
from tt_sandbox.stack.nats_server import EmbeddedNats


@pytest.fixture
async def billing(nc: LeanClient) -> AsyncIterator[FakeBilling]:
    fake = FakeBilling(nc)
    await fake.start()
    yield fake
    await fake.stop()


def _crashed(root: Path) -> Journal:
    """An epoch with two settled calls and one open, whose process is gone."""
    journal = Journal(claim(root), 64 * 1024, 2 * 1024)
    for name in ("a", "b", "c"):
        journal.started(call(name))
    settle(journal, "a", 100)
    settle(journal, "c", 250)
    journal.close()
    journal.folder.release()
    return journal


def _held(journal: Journal) -> Folder:
    folder = try_claim(journal.folder.path)
    assert folder is not None
    return folder


async def test_a_dead_epoch_is_published_resolved_closed_and_deleted(
    nc: LeanClient, billing: FakeBilling, tmp_path: Path
) -> None:
    dead = _crashed(tmp_path)
    await recovery.recover(nc, nc.jetstream(), _held(dead))
    assert set(billing.events) == {"a", "c", unresolved_id("b")}
    [closed] = billing.closed
    assert (closed.boot_epoch, closed.edge_id) == (dead.boot_epoch, dead.edge_id)
    assert (closed.last_seq, closed.cost_nanousd, closed.reason) == (3, 350, "recovered")
    assert scan(dead.folder.path) == []


async def test_the_running_epoch_of_the_same_folder_is_left_alone(
    nc: LeanClient, billing: FakeBilling, tmp_path: Path
) -> None:
    dead = _crashed(tmp_path)
    running = Journal(_held(dead))
    running.started(call("live"))
    await recovery.recover(nc, nc.jetstream(), running.folder, running.boot_epoch)
    assert [epoch.boot_epoch for epoch in scan(dead.folder.path)] == [running.boot_epoch]
    assert unresolved_id("live") not in billing.events
    await asyncio.to_thread(running.close)


async def test_an_interrupted_recovery_done_again_has_the_same_effect(
    nc: LeanClient, billing: FakeBilling, tmp_path: Path
) -> None:
    # given a broker that forgets ids after 0.2 s (told so before it knows any: those it knows may keep the time they came with)
    js = nc.jetstream()
    config = (await js.stream_info("USAGE")).config
    await js.update_stream(config.evolve(duplicate_window=0.2))
    # and a recovery that is stopped because billing doesn't see the events
    billing.lose = 3
    dead = _crashed(tmp_path)
    folder = _held(dead)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(recovery.recover(nc, nc.jetstream(), folder), 1.5)
    assert billing.events == {}
    assert scan(dead.folder.path) != []
    # when another one does it again (after the broker's dedupe window)
    await asyncio.sleep(0.5)
    await recovery.recover(nc, js, folder)
    # then billing has exactly the events there are
    assert {event.id: event.edge_seq for event in billing.events.values()} == {"a": 1, "c": 2, unresolved_id("b"): 3}


async def test_it_waits_for_billing_and_for_the_broker(nc: LeanClient, broker: EmbeddedNats, tmp_path: Path) -> None:
    dead = _crashed(tmp_path)
    recovering = asyncio.create_task(recovery.recover(nc, nc.jetstream(timeout=1), _held(dead)))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(broker.restart)
    assert not recovering.done()
    billing = FakeBilling(nc)
    await billing.start()
    await asyncio.wait_for(recovering, 30)
    assert len(billing.events) == 3
    await billing.stop()


async def test_orphan_folders_are_recovered_and_removed_and_held_ones_are_not(
    nc: LeanClient, billing: FakeBilling, tmp_path: Path
) -> None:
    # given a live neighbour, a dead one and our own folder
    neighbour = Journal(claim(tmp_path))
    dead = _crashed(tmp_path)
    orphan = _held(dead)
    own = claim(tmp_path)
    orphan.release()
    # when our recovery runs
    task = asyncio.create_task(recovery.recover_for_ever(nc, tmp_path, own, "none"))
    async with asyncio.timeout(20):
        while dead.folder.path.exists():  # noqa: ASYNC110 - nobody tells when a folder is gone
            await asyncio.sleep(0.05)
    task.cancel()
    # then the dead one is home and gone, the neighbour untouched
    assert len(billing.events) == 3
    assert set(folders(tmp_path)) == {neighbour.folder.path, own.path}
    assert [epoch.boot_epoch for epoch in scan(neighbour.folder.path)] == [neighbour.boot_epoch]
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(neighbour.close)


async def test_a_clean_drain_leaves_nothing_to_recover(nc: LeanClient, billing: FakeBilling, tmp_path: Path) -> None:
    journal = Journal(claim(tmp_path))
    journal.started(call("a"))
    settle(journal, "a")
    journal.covered(1)
    await asyncio.to_thread(journal.close, True)
    await recovery.recover(nc, nc.jetstream(), journal.folder)
    assert (billing.closed, billing.events) == ([], {})


async def test_events_that_nobody_can_read_any_more_are_set_aside(
    nc: LeanClient, billing: FakeBilling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an epoch of which an early segment is damaged beyond its open calls
    monkeypatch.setattr(recovery, "GAP_WAIT_S", 0.3)
    journal = Journal(claim(tmp_path), 16 * 1024, 2 * 1024)
    for number in range(40):
        journal.started(call(f"call{number}"))
        settle(journal, f"call{number}")
    journal.close()
    first = sorted(journal.folder.path.glob("*.log"))[0]
    content = bytearray(first.read_bytes())
    content[300] ^= 1
    first.write_bytes(content)
    # when it is recovered
    await asyncio.wait_for(recovery.recover(nc, nc.jetstream(), journal.folder), 20)
    # then what is readable arrived, and the files are kept for an operator
    assert "call39" in billing.events
    assert scan(journal.folder.path) == []
    assert sorted(journal.folder.path.glob(f"*{recovery.DAMAGED_SUFFIX}"))
