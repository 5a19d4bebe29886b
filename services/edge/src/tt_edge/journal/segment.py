"""Segment files: framed records in files whose space is taken in advance.

A record is [u32 length][u32 CRC-32][u8 type][payload], little endian; length and CRC cover type and payload. A length
of zero ends the segment. Invariant: what `read` returns is exactly what was appended, up to the first damage. Never
writes over a record.
"""

import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 16 * 1024 * 1024
RECORD_BYTES_MAX: Final = 256 * 1024
"""Of one record with its frame; a longer length in a file is damage."""

HEADER: Final = 1
STARTED: Final = 2
SETTLED: Final = 3

_FRAME = struct.Struct("<II")
_TYPES: Final = {kind: bytes((kind,)) for kind in (HEADER, STARTED, SETTLED)}
_SUFFIX: Final = ".log"


class SegmentHeader(msgspec.Struct, frozen=True):
    """First record of a segment: what the epoch had settled before it, because older segments get deleted."""

    settled_seq: int
    settled_nanousd: int


class Started(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call that is about to reach a provider: all that its event needs if nobody settles it.

    `id` is the event's id.
    """

    id: str
    account_id: str
    key_id: str
    grant_id: str
    hold_id: str
    hold_nanousd: int
    model: str
    endpoint: str
    protocol: str
    stream: bool
    started_at_ms: int
    provider: str = ""
    upstream_model: str = ""
    price_version: str = ""
    traceparent: str = ""


def frame(kind: int, payload: bytes) -> bytes:
    """The record of `payload` as it stands in a file. Raises ValueError above RECORD_BYTES_MAX."""
    body = _TYPES[kind] + payload
    if len(body) + _FRAME.size > RECORD_BYTES_MAX:
        raise ValueError(f"a journal record of {len(body)} bytes is over the limit")
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


class SegmentWriter:
    """One segment open for appending. `size` is what was taken on disk, `offset` where the next record goes."""

    def __init__(self, path: Path, size: int = SEGMENT_BYTES) -> None:
        """Makes the file and takes its space. Raises OSError (and leaves no file) where the disk can't give it."""
        self.path = path
        self.size = size
        self.offset = 0
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(self.fd, 0, size)
            # The file must be found again after a power loss, so its name is made durable before its first record.
            os.fsync(self.fd)
            _sync_folder(path.parent)
        except OSError:
            os.close(self.fd)
            path.unlink()
            raise

    @classmethod
    def reopen(cls, path: Path) -> "SegmentWriter":
        """An existing segment without records, for appending from its start."""
        writer = cls.__new__(cls)
        writer.path, writer.size, writer.offset = path, path.stat().st_size, 0
        writer.fd = os.open(path, os.O_WRONLY)
        return writer

    @property
    def room(self) -> int:
        """Bytes that are left."""
        return self.size - self.offset

    def append(self, record: bytes) -> None:
        """Write one framed record that fits in `room`. Raises OSError; then the record is not part of the segment."""
        written = os.write(self.fd, record)
        if written != len(record):
            os.lseek(self.fd, self.offset, os.SEEK_SET)
            raise OSError(f"short write to the journal: {written} of {len(record)} bytes")
        self.offset += written

    def sync(self) -> None:
        """Returns when what was appended survives a power loss."""
        os.fdatasync(self.fd)

    def close(self) -> None:
        os.close(self.fd)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> tuple[list[tuple[int, bytes]], bool]:
    """All records (type, payload) before the end or the first damage, and whether there was damage.

    Never raises for damage.
    """
    data = path.read_bytes()
    records: list[tuple[int, bytes]] = []
    offset = 0
    while (record := _record_at(data, offset)) is not None:
        records.append(record)
        offset += _FRAME.size + 1 + len(record[1])
    damaged = any(data[offset : offset + _FRAME.size])
    if damaged:
        log.warning("journal segment is damaged", extra={"file": path.name, "offset": offset, "records": len(records)})
    return records, damaged


def _record_at(data: bytes, offset: int) -> tuple[int, bytes] | None:
    start = offset + _FRAME.size
    if start > len(data):
        return None
    length, checksum = _FRAME.unpack_from(data, offset)
    if length == 0 or length > RECORD_BYTES_MAX or start + length > len(data):
        return None
    body = data[start : start + length]
    if zlib.crc32(body) != checksum or body[0] not in _TYPES:
        return None
    return body[0], body[1:]


def segment_path(folder: Path, boot_epoch: str, number: int) -> Path:
    return folder / f"{boot_epoch}-{number:08d}{_SUFFIX}"


def segments_of(folder: Path) -> dict[str, list[Path]]:
    """Segment files by boot epoch, oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*-*{_SUFFIX}")):
        found.setdefault(path.name.rpartition("-")[0], []).append(path)
    return found


def segment_number(path: Path) -> int:
    return int(path.name.removesuffix(_SUFFIX).rpartition("-")[2])
