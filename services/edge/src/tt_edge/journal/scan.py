"""What an epoch left on disk: its settled events, and the calls that were started and never settled.

Pure reading but for `append_unresolved` and `delete`. Damage ends the reading of its segment only, and is reported,
never raised.
"""

import logging
from pathlib import Path

import msgspec

from tt_common.contracts.events import UsageEvent
from tt_common.rating import Usage
from tt_edge.domain.event_ids import uncharged_id, unresolved_id
from tt_edge.journal import segment
from tt_edge.journal.segment import SegmentHeader, Started

log = logging.getLogger(__name__)

_event_decoder = msgspec.json.Decoder(UsageEvent)
_started_decoder = msgspec.json.Decoder(Started)
_header_decoder = msgspec.json.Decoder(SegmentHeader)
_encoder = msgspec.json.Encoder()


class SettledRecord(msgspec.Struct, frozen=True):
    """A usage event and its JSON as it was, or will be, published."""

    event: UsageEvent
    encoded: bytes


class Epoch(msgspec.Struct):
    """One boot epoch as its segments tell it.

    `settled` is by sequence number; events up to `base_seq` may be gone, they cost `base_nanousd` and billing has them.
    `known_seq` is the highest number that a segment's header speaks of.
    """

    boot_epoch: str
    segments: list[Path]
    base_seq: int
    base_nanousd: int
    known_seq: int
    settled: dict[int, SettledRecord]
    unsettled: list[Started]
    damaged: bool

    @property
    def last_seq(self) -> int:
        return max(self.known_seq, max(self.settled, default=0))

    @property
    def cost_nanousd(self) -> int:
        """The cost of all events of the epoch, in nanoUSD."""
        later = sum(record.event.cost_nanousd for seq, record in self.settled.items() if seq > self.base_seq)
        return self.base_nanousd + later

    @property
    def missing(self) -> list[int]:
        """Sequence numbers that damage swallowed, ascending."""
        return [seq for seq in range(self.base_seq + 1, self.last_seq + 1) if seq not in self.settled]


def scan(folder: Path, running_epoch: str | None = None) -> list[Epoch]:
    """Every epoch in `folder` but the running one. Raises OSError."""
    return [
        _read_epoch(boot_epoch, paths)
        for boot_epoch, paths in segment.segments_of(folder).items()
        if boot_epoch != running_epoch
    ]


def _read_epoch(boot_epoch: str, paths: list[Path]) -> Epoch:
    epoch = Epoch(boot_epoch, paths, 0, 0, 0, {}, [], False)
    started: dict[str, Started] = {}
    finished: set[str] = set()
    base: SegmentHeader | None = None
    for path in paths:
        records, damaged = segment.read(path)
        epoch.damaged |= damaged
        for kind, payload in records:
            if kind == segment.SETTLED:
                event = _event_decoder.decode(payload)
                epoch.settled[event.edge_seq] = SettledRecord(event, payload)
                finished.add(event.id)
            elif kind == segment.STARTED:
                call = _started_decoder.decode(payload)
                started.setdefault(call.id, call)
            else:
                header = _header_decoder.decode(payload)
                base = base or header
                epoch.known_seq = max(epoch.known_seq, header.settled_seq)
    if base is not None:
        epoch.base_seq, epoch.base_nanousd = base.settled_seq, base.settled_nanousd
    epoch.unsettled = [
        call
        for call in started.values()
        if finished.isdisjoint((call.id, unresolved_id(call.id), uncharged_id(call.id)))
    ]
    return epoch


def append_unresolved(folder: Path, edge_id: str, epoch: Epoch) -> None:
    """Give each unsettled call its `unresolved` event, in the epoch's own journal before anybody sees it.

    Sequence numbers fill the gaps that damage left, then go on after the last. Repeating this after a crash in the
    middle gives the same events. Raises OSError; then nothing of `epoch` has changed.
    """
    if not epoch.unsettled:
        return
    sequences = epoch.missing[: len(epoch.unsettled)]
    following = epoch.last_seq + 1
    sequences += range(following, following + len(epoch.unsettled) - len(sequences))
    records = [
        _unresolved(call, edge_id, epoch.boot_epoch, seq) for call, seq in zip(epoch.unsettled, sequences, strict=True)
    ]
    content = b"".join(segment.frame(segment.SETTLED, record.encoded) for record in records)
    path = _write(folder, epoch, content)
    if path not in epoch.segments:
        epoch.segments.append(path)
    epoch.settled.update((record.event.edge_seq, record) for record in records)
    epoch.unsettled = []


def _write(folder: Path, epoch: Epoch, content: bytes) -> Path:
    """Into a new segment; on a full disk into the epoch's unused spare one, which has its space already."""
    number = segment.segment_number(epoch.segments[-1]) + 1
    try:
        writer = segment.SegmentWriter(segment.segment_path(folder, epoch.boot_epoch, number), len(content))
    except OSError:
        spare = epoch.segments[-1]
        if segment.read(spare) != ([], False) or spare.stat().st_size < len(content):
            raise
        log.warning("disk is full, using the spare segment", extra={"file": spare.name})
        writer = segment.SegmentWriter.reopen(spare)
    try:
        writer.append(content)
        writer.sync()
    finally:
        writer.close()
    return writer.path


def _unresolved(call: Started, edge_id: str, boot_epoch: str, seq: int) -> SettledRecord:
    event = UsageEvent(
        id=unresolved_id(call.id),
        account_id=call.account_id,
        key_id=call.key_id,
        edge_id=edge_id,
        boot_epoch=boot_epoch,
        edge_seq=seq,
        grant_id=call.grant_id,
        hold_id=call.hold_id,
        hold_nanousd=call.hold_nanousd,
        outcome="unresolved",
        status=0,
        endpoint=call.endpoint,
        protocol=call.protocol,
        model=call.model,
        provider=call.provider,
        upstream_model=call.upstream_model,
        stream=call.stream,
        usage=Usage(),
        usage_source="none",
        price_version=call.price_version,
        cost_nanousd=0,
        started_at_ms=call.started_at_ms,
        # Nobody knows when it ended; the event must come out the same each time it is made.
        finished_at_ms=call.started_at_ms,
        traceparent=call.traceparent,
    )
    return SettledRecord(event, _encoder.encode(event))


def delete(epoch: Epoch) -> None:
    """Remove the epoch's segments, oldest first, so that a crash in between leaves no started without its settled."""
    for path in epoch.segments:
        path.unlink(missing_ok=True)
