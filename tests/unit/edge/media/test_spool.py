"""Uploads on disk: read as they were written, by every attempt, and gone afterwards."""

import os
from pathlib import Path

import pytest

from tt_common.errors import DomainError
from tt_edge.clients.spool import MEMORY_BYTES_MAX, Replaced, Spool, SpoolRoom


async def filled(room: SpoolRoom, data: bytes, step: int = 65_536) -> Spool:
    spool = Spool(room)
    for at in range(0, len(data), step):
        await spool.write(data[at : at + step])
    await spool.flush()
    return spool


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("size", [0, 100, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX + 1, 3 * MEMORY_BYTES_MAX + 5])
async def test_every_attempt_reads_the_whole_body_with_the_models_name_replaced(tmp_path: Path, size: int) -> None:
    # given
    room, head = SpoolRoom(tmp_path, 10**9), b"model=cheap;"
    body = head + os.urandom(size)
    spool = await filled(room, body)

    # when
    source = Replaced(spool, "multipart/form-data", 6, 11, b"vendor/dear")
    attempts = [b"".join([chunk async for chunk in source.chunks()]) for _ in range(2)]

    # then
    assert attempts == [b"model=vendor/dear;" + body[12:]] * 2
    assert source.size_bytes == len(attempts[0])
    assert await spool.read(0, 5) == b"model"
    spool.close()


async def test_nothing_is_left_of_an_upload(tmp_path: Path) -> None:
    room = SpoolRoom(tmp_path, 10**9)
    spool = await filled(room, bytes(2 * MEMORY_BYTES_MAX))
    assert entries(tmp_path) == []  # not even while it is in use: no crash can leave it behind

    spool.close()
    spool.close()

    assert room.used_bytes == 0
    with pytest.raises(OSError, match="shorter"):
        _ = [chunk async for chunk in spool.chunks(0, 10)]


async def test_all_uploads_together_have_a_limit(tmp_path: Path) -> None:
    room = SpoolRoom(tmp_path, 1_000)
    spool = await filled(room, bytes(600))
    other = Spool(room)

    with pytest.raises(DomainError) as raised:
        await other.write(bytes(500))

    assert raised.value.code == "upload_unavailable"
    spool.close()
    await other.write(bytes(500))
    other.close()


async def test_a_full_disk_is_said_clearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spool = Spool(SpoolRoom(tmp_path, 10**9))

    def full(room: SpoolRoom) -> object:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr(SpoolRoom, "make_file", full)

    with pytest.raises(DomainError) as raised:
        await spool.write(bytes(2 * MEMORY_BYTES_MAX))

    assert raised.value.code == "upload_unavailable"
    spool.close()


async def test_a_folder_that_is_gone_is_said_clearly(tmp_path: Path) -> None:
    spool = Spool(SpoolRoom(tmp_path / "gone", 10**9))

    with pytest.raises(DomainError) as raised:
        await spool.write(bytes(2 * MEMORY_BYTES_MAX))

    assert raised.value.code == "upload_unavailable"
    spool.close()
