"""Uploads on disk while their call runs: written once as they arrive, read by every attempt at a provider.

Small ones stay in memory. A file has no name, so nothing is left behind however the process ends. All uploads together have a limit.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from tt_edge.domain.refusals import no_room_for_upload

MEMORY_BYTES_MAX: Final = 256 * 1024
"""Up to here an upload stays in memory; a larger one goes to disk in pieces of this size."""


class SpoolRoom:
    """All uploads of one worker."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self.used_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Raises upload_unavailable where that much is not free."""
        if self.used_bytes + size_bytes > self._bytes_max:
            raise no_room_for_upload()
        self.used_bytes += size_bytes

    def make_file(self) -> IO[bytes]:
        """A new file without a name."""
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)


class Spool:
    """One upload. Close it, whatever happens."""

    def __init__(self, room: SpoolRoom) -> None:
        self._room = room
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    async def write(self, data: bytes) -> None:
        """Append. Raises upload_unavailable where disk or room is full."""
        self._room.take(len(data))
        self.size_bytes += len(data)
        self._memory += data
        if len(self._memory) > MEMORY_BYTES_MAX:
            await self._to_disk()

    async def flush(self) -> None:
        """The last byte was written: from now on it may be read."""
        if self._file is not None and self._memory:
            await self._to_disk()

    async def _to_disk(self) -> None:
        try:
            await asyncio.to_thread(self._write_out)
        except OSError as error:  # full, gone, not ours
            raise no_room_for_upload() from error
        self._memory.clear()

    def _write_out(self) -> None:
        if self._file is None:
            self._file = self._room.make_file()
        with memoryview(self._memory) as rest:
            done = 0
            while done < len(rest):
                done += self._file.write(rest[done:])

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`. Raises OSError."""
        if self._file is None:
            return bytes(self._memory[start:end])
        return await asyncio.to_thread(os.pread, self._file.fileno(), end - start, start)

    async def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The same in pieces. Raises OSError, also where bytes are missing."""
        while start < end:
            data = await self.read(start, min(end, start + MEMORY_BYTES_MAX))
            if not data:
                raise OSError("an upload is shorter than it was")
            start += len(data)
            yield data

    def close(self) -> None:
        """Give room and disk back. Idempotent."""
        self._room.used_bytes -= self.size_bytes
        self.size_bytes = 0
        self._memory.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


class Replaced:
    """An upload with the bytes from `start` to before `end` replaced: see `answers.BodySource`."""

    def __init__(self, spool: Spool, content_type: str, start: int, end: int, new: bytes) -> None:
        self._spool = spool
        self._cut = (start, end)
        self._new = new
        self.content_type = content_type
        self.size_bytes = spool.size_bytes - (end - start) + len(new)

    async def chunks(self) -> AsyncIterator[bytes]:
        start, end = self._cut
        async for data in self._spool.chunks(0, start):
            yield data
        yield self._new
        async for data in self._spool.chunks(end, self._spool.size_bytes):
            yield data
