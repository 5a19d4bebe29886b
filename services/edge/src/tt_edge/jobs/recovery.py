"""Bring home what dead epochs left in journal folders: publish their events, close them with billing, delete their
segments.

Invariant: a segment goes only when billing's watermark has reached the epoch's end, so a crash at any point means
doing the same again with the same effect. Never touches the running epoch, never gives up while NATS or billing is
away, never blocks admission.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from tt_common.bus import rpc
from tt_common.bus.events import usage_headers
from tt_common.clock import monotonic_s
from tt_common.contracts.grants import EPOCHS_BEAT, EPOCHS_CLOSE, Ack, CloseEpoch, EpochBeat, EpochBeatReply
from tt_common.contracts.streams import usage_subject
from tt_common.errors import DomainError
from tt_edge.clients.pause import pause
from tt_edge.crash_points import CrashCheck, never
from tt_edge.journal.folders import Folder, folders, try_claim
from tt_edge.journal.scan import Epoch, SettledRecord, append_unresolved, delete, scan

log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 30.0
REPUBLISH_AFTER_S: Final = 30.0
BEAT_EVERY_S: Final = 0.5
BACKOFF_MAX_S: Final = 5.0
CALL_TIMEOUT_S: Final = 2.0
PUBLISH_TIMEOUT_S: Final = 5.0
IN_FLIGHT_MAX: Final = 256
GAP_WAIT_S: Final = 60.0
DAMAGED_SUFFIX: Final = ".damaged"


async def recover_for_ever(nc: Client, root: Path, own: Folder, running_epoch: str, crash: CrashCheck = never) -> None:
    """Recover the worker's own folder, then every folder of `root` that nobody holds, every SWEEP_EVERY_S.

    Ends by cancellation.
    """
    js = nc.jetstream(timeout=PUBLISH_TIMEOUT_S)
    await recover(nc, js, own, running_epoch, crash)
    while True:
        for path in await asyncio.to_thread(folders, root):
            orphan = await asyncio.to_thread(try_claim, path)
            if orphan is None:
                continue
            try:
                await recover(nc, js, orphan, crash=crash)
                await asyncio.to_thread(orphan.remove_if_empty)
            finally:
                orphan.release()
        await pause(SWEEP_EVERY_S)


async def recover(
    nc: Client, js: JetStreamContext, folder: Folder, running_epoch: str | None = None, crash: CrashCheck = never
) -> None:
    """Bring home every epoch in a held folder but `running_epoch`. Retries with backoff for ever; safe to repeat."""
    backoff_s = BEAT_EVERY_S
    while True:
        try:
            for epoch in await asyncio.to_thread(scan, folder.path, running_epoch):
                await _bring_home(nc, js, folder, epoch, crash)
            return
        except (DomainError, nats.errors.Error, TimeoutError, OSError) as error:
            log.warning("recovery waits", extra={"edge_id": folder.edge_id, "error": repr(error)})
        await pause(backoff_s)
        backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


async def _bring_home(nc: Client, js: JetStreamContext, folder: Folder, epoch: Epoch, crash: CrashCheck) -> None:
    log.info(
        "recovering an epoch",
        extra={"boot_epoch": epoch.boot_epoch, "events": len(epoch.settled), "unresolved": len(epoch.unsettled)},
    )
    await asyncio.to_thread(append_unresolved, folder.path, folder.edge_id, epoch)
    crash("recovery_written")
    begun_s = published_s = monotonic_s()
    watermark = await _beat(nc, folder, epoch)
    await _publish(js, epoch, watermark)
    crash("recovery_published")
    await _close(nc, folder, epoch)
    while (watermark := await _beat(nc, folder, epoch)) < epoch.last_seq:
        if epoch.missing and watermark + 1 >= epoch.missing[0] and monotonic_s() - begun_s > GAP_WAIT_S:
            await asyncio.to_thread(_set_aside, epoch)
            return
        if monotonic_s() - published_s > REPUBLISH_AFTER_S:
            published_s = monotonic_s()
            await _publish(js, epoch, watermark)
        await pause(BEAT_EVERY_S)
    await asyncio.to_thread(delete, epoch)
    log.info("epoch recovered", extra={"boot_epoch": epoch.boot_epoch, "last_seq": epoch.last_seq})


async def _publish(js: JetStreamContext, epoch: Epoch, watermark: int) -> None:
    """Publish every event above the watermark, in order of batches. Raises the first error of a batch."""
    due = [record for seq, record in sorted(epoch.settled.items()) if seq > watermark]
    for start in range(0, len(due), IN_FLIGHT_MAX):
        await asyncio.gather(*(_publish_one(js, record) for record in due[start : start + IN_FLIGHT_MAX]))


async def _publish_one(js: JetStreamContext, record: SettledRecord) -> None:
    event = record.event
    await js.publish(usage_subject(event.account_id), record.encoded, headers=usage_headers(event))


async def _beat(nc: Client, folder: Folder, epoch: Epoch) -> int:
    request = EpochBeat(edge_id=folder.edge_id, boot_epoch=epoch.boot_epoch, last_seq=epoch.last_seq)
    return (await rpc.call(nc, EPOCHS_BEAT, request, EpochBeatReply, CALL_TIMEOUT_S)).watermark


async def _close(nc: Client, folder: Folder, epoch: Epoch) -> None:
    request = CloseEpoch(
        edge_id=folder.edge_id,
        boot_epoch=epoch.boot_epoch,
        last_seq=epoch.last_seq,
        cost_nanousd=epoch.cost_nanousd,
        reason="recovered",
    )
    await rpc.call(nc, EPOCHS_CLOSE, request, Ack, CALL_TIMEOUT_S)


def _set_aside(epoch: Epoch) -> None:
    """Keep damaged segments for an operator: billing waits for events that nobody can read any more."""
    for path in epoch.segments:
        path.rename(path.with_name(path.name + DAMAGED_SUFFIX))
    log.error(
        "journal damaged, events are missing; segments set aside",
        extra={"boot_epoch": epoch.boot_epoch, "missing": len(epoch.missing), "first": epoch.missing[0]},
    )
